#include "common/os/user_namespace.hpp"

#include "common/base/error.hpp"
#include "common/base/scope_exit.hpp"
#include "common/os/file.hpp"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cppvm {

namespace {

[[noreturn]] void hold_namespace(pid_t parent) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (::getppid() == parent) {
        ::pause();
    }
    ::_exit(0);
}

} // namespace

UniqueFd make_user_namespace(const std::string& uid_map, const std::string& gid_map) {
    const pid_t parent = ::getpid();
    const auto pid = static_cast<pid_t>(
        ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr)
    );
    if (pid == 0) {
        hold_namespace(parent);
    }
    if (pid < 0) {
        const char* const remedy = errno == ENOSPC ? " (its limit: user.max_user_namespaces)" : "";
        throw_errno("create", std::string("user namespace") + remedy);
    }
    const ScopeExit end([pid] {
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
    });
    const std::string process = "/proc/" + std::to_string(pid);
    write_control_file(process + "/uid_map", uid_map);
    write_control_file(process + "/gid_map", gid_map);
    return open_file(process + "/ns/user", O_RDONLY);
}

} // namespace cppvm
