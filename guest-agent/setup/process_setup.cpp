#include "guest-agent/setup/process_setup.hpp"

#include "common/base/error.hpp"
#include "guest-agent/setup/keyring.hpp"
#include "guest-agent/setup/rlimits.hpp"
#include "guest-agent/setup/root_walk.hpp"
#include "guest-agent/setup/scheduling.hpp"
#include "guest-agent/setup/seccomp.hpp"
#include "guest-agent/setup/watch_filter.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace cppvm::guest {

namespace {

void close_all_but(std::vector<int> keep) {
    keep.insert(keep.end(), {0, 1, 2});
    std::sort(keep.begin(), keep.end());
    unsigned next = 0;
    for (const int fd : keep) {
        if (fd < 0) {
            continue;
        }
        const auto number = static_cast<unsigned>(fd);
        if (number > next) {
            ::syscall(SYS_close_range, next, number - 1, 0);
        }
        next = std::max(next, number + 1);
    }
    if (::syscall(SYS_close_range, next, UINT_MAX, 0) != 0) {
        throw_errno("close", "inherited descriptors");
    }
}

void take_terminal(const ProcessSpec& spec, const Terminal& terminal) {
    if (spec.console_width != 0 && spec.console_height != 0) {
        winsize size{};
        size.ws_col = static_cast<unsigned short>(spec.console_width);
        size.ws_row = static_cast<unsigned short>(spec.console_height);
        if (::ioctl(terminal.master.get(), TIOCSWINSZ, &size) != 0) {
            throw_errno("set size of", "terminal");
        }
    }
    if (::ioctl(terminal.slave.get(), TIOCSCTTY, 0) != 0) {
        throw_errno("make controlling", "terminal");
    }
}

/// A program of another user must be able to open /dev/stdout again (as with runc). Pipes that a
/// user namespace does not map, and /dev/null, stay as they are.
void give_stdio(uid_t uid) {
    for (int fd = 0; fd <= 2; ++fd) {
        struct stat status{};
        if (::fstat(fd, &status) != 0) {
            throw_errno("stat", "stdio");
        }
        const bool null_device =
            S_ISCHR(status.st_mode) && major(status.st_rdev) == 1; // the memory devices
        if (!null_device && status.st_uid != uid &&
            ::fchown(fd, uid, static_cast<gid_t>(-1)) != 0 && errno != EPERM && errno != EINVAL) {
            throw_errno("change owner of", "stdio");
        }
    }
}

void set_user(const oci::User& user) {
    const auto& groups = user.additional_gids;
    if (::setgroups(groups.size(), groups.data()) != 0) {
        throw_errno("set", "additional groups");
    }
    if (::setresgid(user.gid, user.gid, user.gid) != 0) {
        throw_errno("set group", std::to_string(user.gid));
    }
    if (::setresuid(user.uid, user.uid, user.uid) != 0) {
        throw_errno("set user", std::to_string(user.uid));
    }
}

/// False when the directory may not be entered yet.
bool enter_directory(const std::string& path) {
    if (::chdir(path.c_str()) != 0) {
        if (errno == EACCES) {
            return false;
        }
        throw_errno("enter working directory", path);
    }
    // A directory outside of the root shows as "(unreachable)/…" (getcwd(2)): no descriptor that
    // could lead there is open any more, so this only guards against what nobody thought of.
    std::array<char, PATH_MAX> name{};
    if (::syscall(SYS_getcwd, name.data(), name.size()) < 0 || name[0] != '/') {
        throw Error(
            Code::permission_denied, "enter working directory " + path + ": is outside of the root"
        );
    }
    return true;
}

} // namespace

Terminal open_terminal(int root, int fallback) {
    // devpts holds nothing but terminals and its ptmx, so once the directory is known to be one
    // there is nothing that an image could put in the way.
    UniqueFd directory = resolve_in_root(root, "/dev/pts");
    struct statfs file_system{};
    int at = fallback;
    if (directory && ::fstatfs(directory.get(), &file_system) == 0 &&
        file_system.f_type == DEVPTS_SUPER_MAGIC) {
        at = directory.get();
    }
    Terminal terminal;
    terminal.master = UniqueFd(::openat(at, "ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC));
    if (!terminal.master) {
        throw_errno("open", "terminal /dev/pts/ptmx");
    }
    const int locked = 0;
    if (::ioctl(terminal.master.get(), TIOCSPTLCK, &locked) != 0) {
        throw_errno("unlock", "terminal");
    }
    terminal.slave =
        UniqueFd(::ioctl(terminal.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!terminal.slave) {
        throw_errno("open slave of", "terminal");
    }
    return terminal;
}

void isolate_child(std::vector<int> keep) {
    // Handlers went with the clone; what the agent ignores would stay ignored over the execve.
    struct sigaction action{};
    action.sa_handler = SIG_DFL;
    ::sigaction(SIGPIPE, &action, nullptr);
    // Between here and execve the process shows the agent's memory and program. It cannot be
    // traced, nor /proc/<pid>/exe or fd opened, without CAP_SYS_PTRACE over the agent's user
    // namespace; and who has that finds a program file that is in use, thus never writable
    // (ETXTBSY), and that lives only in this machine's initramfs (compare CVE-2019-5736).
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        throw_errno("clear", "dumpable flag");
    }
    close_all_but(std::move(keep));
    ::umask(0);
    // The agent's own limit is high; a high soft one breaks programs that use select(2), or close
    // every descriptor that could be open.
    rlimit descriptors{};
    if (::getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
        constexpr rlim_t usual = 1024;
        descriptors.rlim_cur = std::min(usual, descriptors.rlim_max);
        ::setrlimit(RLIMIT_NOFILE, &descriptors);
    }
}

void apply_process_attributes(const ProcessSpec& spec, Terminal& terminal, ChildControl& control) {
    const oci::Process& process = spec.process;
    join_session_keyring(spec.container_id);
    if (::setsid() < 0) {
        throw_errno("create", "session");
    }
    std::array<int, 3> stdio{spec.standard_input, spec.standard_output, spec.standard_error};
    if (terminal.slave) {
        take_terminal(spec, terminal);
        stdio.fill(terminal.slave.get());
    }
    for (int fd = 0; fd <= 2; ++fd) {
        // The sources are above 2: the agent itself has 0 to 2 open.
        if (::dup2(stdio[static_cast<std::size_t>(fd)], fd) < 0) {
            throw_errno("set up", "stdio");
        }
    }
    terminal.slave.reset();
    give_stdio(process.user.uid);
    close_all_but({control.fd(), terminal.master.get()});
    set_rlimits(process.rlimits);
    set_scheduling(process);
    if (spec.personality) {
        set_personality(*spec.personality);
    }
    const bool inside = enter_directory(process.cwd);
    if (spec.has_volumes) {
        control.send({ControlKind::watches, Code::ok, {}, install_watch_filter()});
    }
    if (!process.no_new_privileges) {
        install_seccomp(spec.seccomp); // which takes a capability that may go now
    }
    limit_bounding_set(spec.capabilities.bounding);
    if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) {
        throw_errno("set", "keepcaps flag");
    }
    set_user(process.user);
    // Some directories are closed to root, on shares for example.
    if (!inside && !enter_directory(process.cwd)) {
        throw_errno("enter working directory", process.cwd, EACCES);
    }
    set_capabilities(spec.capabilities);
    if (::prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) {
        throw_errno("clear", "keepcaps flag");
    }
    if (process.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        throw_errno("set", "no_new_privs flag");
    }
    ::umask(process.user.umask.value_or(0022));
}

} // namespace cppvm::guest
