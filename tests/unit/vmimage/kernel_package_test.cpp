#include "common/base/error.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/temp_dir.hpp"
#include "vmimage/command.hpp"
#include "vmimage/kernel_package.hpp"

#include <gmock/gmock.h>

namespace cppvm::vmimage {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

Awaitable<std::string> error_of(std::vector<std::string> command, Deadline deadline) {
    try {
        co_await run_command(std::move(command), deadline);
    } catch (const Error& error) {
        co_return error.message();
    }
    co_return "no error";
}

TEST(RunCommandTest, GivesTheOutput) {
    testing::co_test([]() -> Awaitable<> {
        const std::string text = co_await run_command(
            {"/bin/sh", "-c", "echo out; echo err >&2"}, deadline_in(seconds(5))
        );
        EXPECT_EQ(text, "out\n");
    }());
}

TEST(RunCommandTest, TellsHowItFailedWithTheLastLineOfStderr) {
    testing::co_test([]() -> Awaitable<> {
        const std::string text = co_await error_of(
            {"/bin/sh", "-c", "echo first >&2; echo last >&2; exit 3"}, deadline_in(seconds(5))
        );
        EXPECT_EQ(text, "run /bin/sh: exit code 3: last");
        const std::string missing = co_await error_of({"/nowhere/x"}, deadline_in(seconds(5)));
        EXPECT_THAT(missing, HasSubstr("/nowhere/x"));
    }());
}

TEST(RunCommandTest, KillsWhatTakesTooLong) {
    testing::co_test([]() -> Awaitable<> {
        const std::string text =
            co_await error_of({"/bin/sleep", "1000"}, deadline_in(milliseconds(50)));
        EXPECT_THAT(text, HasSubstr("timed out"));
    }());
}

class UnpackKernelTest : public ::testing::Test {
  public:
    // A package with boot/vmlinuz-1, made by the tool that reads it.
    Awaitable<std::filesystem::path> package() {
        directory_.write(
            "p/DEBIAN/control",
            "Package: p\nVersion: 1\nArchitecture: amd64\n"
            "Maintainer: n <n@example.org>\nDescription: d\n"
        );
        directory_.write("p/boot/vmlinuz-1", "kernel");
        co_await run_command(
            {"/usr/bin/dpkg-deb", "-b", directory_ / "p", directory_ / "p_1_amd64.deb"},
            deadline_in(seconds(20))
        );
        co_return directory_ / "p_1_amd64.deb";
    }

    testing::TempDir directory_;
};

TEST_F(UnpackKernelTest, UnpacksOnceAndKeepsTheTree) {
    auto body = [](UnpackKernelTest& test) -> Awaitable<> {
        const auto file = co_await test.package();
        const auto cache = test.directory_ / "cache";
        const auto tree = co_await unpack_kernel(file, cache, deadline_in(seconds(20)));
        EXPECT_TRUE(std::filesystem::exists(tree / "boot/vmlinuz-1"));
        std::filesystem::remove(file);
        const auto again = co_await unpack_kernel(file, cache, deadline_in(seconds(20)));
        EXPECT_EQ(again, tree);
    };
    testing::co_test(body(*this), seconds(50));
}

TEST_F(UnpackKernelTest, LeavesNoTreeOfABrokenPackage) {
    auto body = [](UnpackKernelTest& test) -> Awaitable<> {
        const auto file = test.directory_.write("broken_1_amd64.deb", "nonsense");
        const auto cache = test.directory_ / "cache";
        try {
            co_await unpack_kernel(file, cache, deadline_in(seconds(20)));
            ADD_FAILURE() << "no error";
        } catch (const Error& error) {
            EXPECT_THAT(error.message(), HasSubstr("dpkg-deb"));
        }
        EXPECT_FALSE(std::filesystem::exists(cache / "broken_1_amd64"));
    };
    testing::co_test(body(*this), seconds(50));
}

} // namespace
} // namespace cppvm::vmimage
