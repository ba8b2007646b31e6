#include "common/os/seccomp_filter.hpp"
#include "tests/support/under_seccomp.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <sys/socket.h>
#include <unistd.h>

namespace cppvm {
namespace {

using testing::error_of;
using testing::under;

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
