#pragma once

#include <cerrno>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace cppvm::testing {

/// What `attempt` returns in a process under the filter, which must allow exit_group.
inline int under(std::vector<sock_filter> filter, int (*attempt)()) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        const sock_fprog program{static_cast<unsigned short>(filter.size()), filter.data()};
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
            ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) {
            ::_exit(255);
        }
        // Not _exit(2): a sanitizer's makes system calls of its own first.
        ::syscall(SYS_exit_group, attempt());
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 254;
}

inline int error_of(long result) {
    return result < 0 ? errno : 0;
}

} // namespace cppvm::testing
