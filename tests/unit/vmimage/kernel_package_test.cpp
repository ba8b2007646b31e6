#include "common/base/error.hpp"
#include "common/os/command.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/temp_dir.hpp"
#include "vmimage/kernel_package.hpp"

#include <gmock/gmock.h>

namespace cppvm::vmimage {
namespace {

using std::chrono::seconds;
using ::testing::HasSubstr;

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
