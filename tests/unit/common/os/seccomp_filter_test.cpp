#include "common/base/error.hpp"
#include "common/os/seccomp_filter.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cppvm {
namespace {

// What `attempt` returns in a process under the filter.
int under(std::vector<sock_filter> filter, int (*attempt)()) {
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

int error_of(long result) {
    return result < 0 ? errno : 0;
}

TEST(SeccompFilterTest, AllowsWhatItNamesAndNothingElse) {
    const auto filter = allow_only({{"exit_group", {}}, {"getppid", {}}});
    EXPECT_EQ(under(filter, [] { return error_of(::getppid()); }), 0);
    EXPECT_EQ(under(filter, [] { return error_of(::chdir("/")); }), ENOSYS);
}

TEST(SeccompFilterTest, LooksAtTheFirstArgument) {
    const auto filter = allow_only({{"exit_group", {}}, {"socket", AF_UNIX}});
    EXPECT_EQ(under(filter, [] { return error_of(::socket(AF_UNIX, SOCK_STREAM, 0)); }), 0);
    EXPECT_EQ(under(filter, [] { return error_of(::socket(AF_INET, SOCK_STREAM, 0)); }), ENOSYS);
}

TEST(SeccompFilterTest, LeavesOutNamesThatNobodyKnows) {
    const auto filter = allow_only({{"exit_group", {}}, {"no_such_call", {}}});
    EXPECT_EQ(under(filter, [] { return 7; }), 7);
}

} // namespace
} // namespace cppvm
