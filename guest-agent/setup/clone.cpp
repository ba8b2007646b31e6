#include "guest-agent/setup/clone.hpp"

#include "common/base/error.hpp"

#include <cerrno>
#include <csignal>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cppvm::guest {

CloneResult clone_process(std::uint64_t flags, int cgroup_fd) {
    int pidfd = -1;
    clone_args arguments{};
    arguments.flags = flags | CLONE_PIDFD | CLONE_INTO_CGROUP | CLONE_CLEAR_SIGHAND;
    arguments.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
    arguments.exit_signal = SIGCHLD;
    arguments.cgroup = static_cast<std::uint64_t>(cgroup_fd);
    // Until the child has its own handlers gone, a signal to it would write to the agent's own
    // wake-up pipe.
    sigset_t all{};
    sigset_t before{};
    ::sigfillset(&all);
    ::sigprocmask(SIG_SETMASK, &all, &before);
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
    const int error = errno;
    if (pid == 0) {
        return {};
    }
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) {
        throw_errno("clone", "process", error);
    }
    return {pid, UniqueFd(pidfd)};
}

} // namespace cppvm::guest
