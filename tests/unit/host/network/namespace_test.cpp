#include "common/base/error.hpp"
#include "host/network/namespace.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

namespace cppvm::network {
namespace {

using Kind = NamespaceSpec::Kind;

ino_t inode_of(int fd) {
    struct stat status{};
    EXPECT_EQ(::fstat(fd, &status), 0);
    return status.st_ino;
}

Awaitable<UniqueFd> open(NamespaceSpec spec) {
    co_return co_await open_namespace(
        co_await asio::this_coro::executor, std::move(spec), deadline_in(std::chrono::seconds(10))
    );
}

TEST(NetworkNamespaceTest, IsOursForTheHosts) {
    testing::co_test([]() -> Awaitable<> {
        const UniqueFd ours = co_await open({Kind::host, {}});
        const UniqueFd named = co_await open({Kind::path, "/proc/self/ns/net"});
        EXPECT_EQ(inode_of(ours.get()), inode_of(named.get()));
    }());
}

TEST(NetworkNamespaceTest, IsAnotherEachTimeForAFreshOne) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "needs root for network namespaces";
    }
    testing::co_test([]() -> Awaitable<> {
        const UniqueFd ours = co_await open({Kind::host, {}});
        const UniqueFd first = co_await open({Kind::fresh, {}});
        const UniqueFd second = co_await open({Kind::fresh, {}});
        EXPECT_NE(inode_of(first.get()), inode_of(ours.get()));
        EXPECT_NE(inode_of(first.get()), inode_of(second.get()));
    }());
}

TEST(NetworkNamespaceTest, RefusesWhatIsNone) {
    const testing::TempDir dir;
    EXPECT_EQ(::mkfifo((dir / "fifo").c_str(), 0600), 0);
    for (const std::filesystem::path& path :
         {dir.write("file", ""),
          dir / "missing",
          dir / "fifo",
          std::filesystem::path("/proc/self/ns/mnt")}) {
        testing::co_test([](std::filesystem::path wrong) -> Awaitable<> {
            try {
                co_await open({Kind::path, wrong});
                ADD_FAILURE() << wrong << " was taken";
            } catch (const Error& error) {
                EXPECT_NE(error.message().find(wrong.native()), std::string::npos);
            }
        }(path));
    }
}

} // namespace
} // namespace cppvm::network
