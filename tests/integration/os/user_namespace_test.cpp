#include "common/base/error.hpp"
#include "common/os/user_namespace.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cppvm {
namespace {

using ::testing::HasSubstr;

class UserNamespaceTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (::geteuid() != 0) {
            GTEST_SKIP() << "needs root for mappings";
        }
#if __has_feature(thread_sanitizer)
        GTEST_SKIP() << "ThreadSanitizer has a thread, with which none may enter a user namespace";
#endif
    }
};

TEST_F(UserNamespaceTest, IsKeptByItsDescriptorAlone) {
    const UniqueFd made = make_user_namespace("0 100000 10\n", "0 200000 10\n");
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(errno, ECHILD);
    // Who enters it has its ids.
    const pid_t child = ::fork();
    if (child == 0) {
        const bool entered = ::setns(made.get(), CLONE_NEWUSER) == 0 && ::setgid(9) == 0 &&
                             ::setuid(9) == 0 && ::getuid() == 9;
        ::_exit(entered && ::setuid(10) != 0 ? 0 : 1);
    }
    int status = -1;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
}

TEST_F(UserNamespaceTest, SaysWhichMappingTheKernelRefuses) {
    try {
        make_user_namespace("0 100000 10\n", "0 5 0\n");
        FAIL() << "was made";
    } catch (const Error& error) {
        EXPECT_THAT(error.message(), HasSubstr("/gid_map: Invalid argument"));
    }
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

} // namespace
} // namespace cppvm
