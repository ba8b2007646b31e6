#include "guest-agent/setup/pod_init.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/os/pipe.hpp"
#include "common/os/poll.hpp"
#include "guest-agent/setup/mount_api.hpp"
#include "guest-agent/setup/process_setup.hpp"
#include "guest-agent/setup/rootfs.hpp"

#include <array>
#include <csignal>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <string>
#include <string_view>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cppvm::guest {

namespace {

constexpr std::chrono::seconds start_limit{20};
constexpr std::size_t max_report = 4096;
constexpr uid_t nobody = 65534;
constexpr std::string_view ready = "ready";

// Containers can see its root behind /proc/1/root if they may trace: it is empty.
void enter_empty_root() {
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
        throw_errno("make private", "mounts");
    }
    constexpr std::uint64_t attributes =
        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    const UniqueFd root = make_mount(
        "tmpfs", "tmpfs", {"size=4k", "nr_inodes=1", "mode=0555"}, attributes, "the pod's init"
    );
    const UniqueFd place = open_file("/proc", O_PATH);
    attach_mount(root.get(), place.get(), "the pod's init");
    enter_root(root.get());
}

// A program of its own, so that nothing of the agent's memory is left in it. Its standard output is
// for the report.
void become_pod_init(const char* path, int report) {
    const UniqueFd program = open_file(path, O_PATH);
    const UniqueFd null_device = open_file("/dev/null", O_RDWR);
    isolate_child({report, program.get(), null_device.get()});
    const std::array<int, 3> stdio{null_device.get(), report, null_device.get()};
    for (int fd = 0; fd <= 2; ++fd) {
        if (::dup2(stdio.at(fd), fd) < 0) {
            throw_errno("set up", "stdio");
        }
    }
    std::array<char, 9> name{"pod-init"};
    std::string option = pod_init_option;
    std::array<char*, 3> arguments{name.data(), option.data(), nullptr};
    std::array<char*, 1> environment{nullptr};
    ::execveat(program.get(), "", arguments.data(), environment.data(), AT_EMPTY_PATH);
    throw_errno("execute", path);
}

void say(int fd, std::string_view text) noexcept {
    static_cast<void>(::write(fd, text.data(), text.size()));
}

[[noreturn]] void run_child(const char* program, const Pipe& pipe) {
    try {
        become_pod_init(program, pipe.write.get());
    } catch (const std::exception& error) {
        say(pipe.write.get(), error.what());
    }
    ::_exit(1);
}

std::string wait_for_report(Pipe& pipe) {
    pipe.write.reset();
    try {
        const Deadline deadline = deadline_in(start_limit);
        if (!wait_readable(pipe.read.get(), "the pod's init", deadline)) {
            return "timed out";
        }
        const std::string said = read_all(pipe.read.get(), "the pod's init", max_report);
        return said.empty() ? "it ended" : said;
    } catch (const std::exception& error) {
        return error.what();
    }
}

// Who has no rights over it cannot look into it; and without any it has nothing to lend.
void drop_rights() {
    if (::setgroups(0, nullptr) != 0 || ::setresgid(nobody, nobody, nobody) != 0 ||
        ::setresuid(nobody, nobody, nobody) != 0 || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        throw_errno("drop the rights of", "the pod's init");
    }
}

} // namespace

CloneResult start_pod_init(int cgroup_fd, const char* program) {
    Pipe pipe = make_pipe("the pod's init");
    CloneResult child = clone_process(CLONE_NEWPID | CLONE_NEWNS, cgroup_fd);
    if (child.pid == 0) {
        run_child(program, pipe);
    }
    const std::string said = wait_for_report(pipe);
    if (said != ready) {
        ::kill(child.pid, SIGKILL);
        ::waitpid(child.pid, nullptr, 0); // or its cgroup could not be removed
        throw Error(Code::internal, "start the pod's init: " + said);
    }
    return child;
}

void run_pod_init() {
    try {
        enter_empty_root();
        drop_rights();
    } catch (const std::exception& error) {
        say(STDOUT_FILENO, error.what());
        ::_exit(1);
    }
    ::prctl(PR_SET_NAME, "pod-init");
    ::prctl(PR_SET_PDEATHSIG, SIGKILL); // where the agent is not the machine's first process
    ::signal(SIGCHLD, SIG_IGN);         // NOLINT(cert-err33-c): the kernel reaps orphans then
    say(STDOUT_FILENO, ready);
    ::dup2(STDIN_FILENO, STDOUT_FILENO);
    for (;;) {
        ::pause(); // no signal from inside of the namespace ends its first process
    }
}

} // namespace cppvm::guest
