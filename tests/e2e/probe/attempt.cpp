#include "tests/e2e/probe/attempt.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <sys/wait.h>
#include <unistd.h>

namespace cppvm::probe {

std::string error_name(int error) {
    const char* const name = error == 0 ? "ok" : ::strerrorname_np(error);
    return name != nullptr ? name : "error " + std::to_string(error);
}

int error_of(long result) {
    return result == -1 ? errno : 0;
}

std::string attempt(const std::function<int()>& action) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::alarm(10);
        ::_exit(action());
    }
    if (pid < 0) {
        return "fork: " + error_name(errno);
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) {
        return std::string("SIG") + ::sigabbrev_np(WTERMSIG(status));
    }
    return error_name(WEXITSTATUS(status));
}

} // namespace cppvm::probe
