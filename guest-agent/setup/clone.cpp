#include "guest-agent/setup/clone.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <linux/sched.h>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>

namespace cppvm::guest {

namespace {

/// The pid; 0 in the child; -1 with errno.
pid_t try_clone(clone_args& arguments) {
    // Until the child has its own handlers gone, a signal to it would write to the agent's own
    // wake-up pipe.
    sigset_t all{};
    sigset_t before{};
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before);
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
    if (pid != 0) {
        const int error = errno;
        ::sigprocmask(SIG_SETMASK, &before, nullptr);
        errno = error;
    }
    return pid;
}

[[noreturn]] void throw_clone(int error) {
    const std::string remedy =
        error == EAGAIN ? " (the machine's limit: kernel.threads-max, kernel.pid_max)" : "";
    throw_errno("clone", "process" + remedy, error);
}

/// The pids controller refuses a fork in a cgroup that is full, but not that a process enters it.
void move_to_cgroup(pid_t pid, int pidfd, int cgroup_fd) {
    try {
        const UniqueFd procs(::openat(cgroup_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC));
        if (!procs) {
            throw_errno("open", "cgroup.procs");
        }
        write_all(procs.get(), "cgroup.procs", std::to_string(pid));
    } catch (...) {
        ::syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0);
        throw;
    }
}

} // namespace

CloneResult clone_process(std::uint64_t flags, int cgroup_fd) {
    int pidfd = -1;
    clone_args arguments{};
    arguments.flags = flags | CLONE_PIDFD | CLONE_INTO_CGROUP | CLONE_CLEAR_SIGHAND;
    arguments.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
    arguments.exit_signal = SIGCHLD;
    arguments.cgroup = static_cast<std::uint64_t>(cgroup_fd);
    pid_t pid = try_clone(arguments);
    const bool is_full = pid < 0 && errno == EAGAIN;
    if (is_full) {
        arguments.flags &= ~std::uint64_t{CLONE_INTO_CGROUP};
        arguments.cgroup = 0;
        pid = try_clone(arguments);
    }
    if (pid == 0) {
        return {};
    }
    if (pid < 0) {
        throw_clone(errno);
    }
    CloneResult result{pid, UniqueFd(pidfd)};
    if (is_full) {
        move_to_cgroup(pid, pidfd, cgroup_fd);
    }
    return result;
}

} // namespace cppvm::guest
