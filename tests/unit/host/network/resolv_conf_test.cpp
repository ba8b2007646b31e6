#include "host/network/resolv_conf.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/stat.h>

namespace cppvm::network {
namespace {

using asio::ip::make_address;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(LoopbackNameServersTest, AreThoseThatAResolvConfNames) {
    EXPECT_THAT(
        loopback_name_servers("# nameserver 127.0.0.1\n"
                              "search example.org\n"
                              "nameserver 127.0.0.11\n"
                              "nameserver 192.0.2.1\n"
                              "  nameserver\t::1  \r\n"
                              "nameserver 127.0.0.11\n"
                              "options ndots:0"),
        ElementsAre(make_address("127.0.0.11"), make_address("::1"))
    );
}

TEST(LoopbackNameServersTest, LeavesOutWhatIsNoAddress) {
    EXPECT_THAT(
        loopback_name_servers("nameserver\nnameserver localhost\nnameserver 127.0.0.1.1\n"
                              "nameservers 127.0.0.1\n\n"),
        IsEmpty()
    );
    EXPECT_THAT(loopback_name_servers(""), IsEmpty());
}

TEST(LoopbackNameServersTest, AreAsManyAsResolversAsk) {
    EXPECT_THAT(
        loopback_name_servers("nameserver 127.0.0.1\nnameserver 127.0.0.2\nnameserver 127.0.0.3\n"
                              "nameserver 127.0.0.4\n"),
        ::testing::SizeIs(3)
    );
}

std::vector<asio::ip::address> read(const std::filesystem::path& path) {
    std::vector<asio::ip::address> servers;
    cppvm::testing::co_test(
        [](std::filesystem::path file, std::vector<asio::ip::address>& to) -> Awaitable<> {
            to = co_await read_loopback_name_servers(
                co_await asio::this_coro::executor, file, deadline_in(std::chrono::seconds(10))
            );
        }(path, servers)
    );
    return servers;
}

TEST(ReadLoopbackNameServersTest, ReadsAFileAndWaitsForNothingElse) {
    const cppvm::testing::TempDir directory;
    const auto file = directory.write("resolv.conf", "nameserver 127.0.0.53\n");
    EXPECT_THAT(read(file), ElementsAre(make_address("127.0.0.53")));
    EXPECT_THAT(read(directory.write("empty", "")), IsEmpty());
    EXPECT_THAT(read(directory / "."), IsEmpty());
    ASSERT_EQ(::mkfifo((directory / "fifo").c_str(), 0600), 0);
    EXPECT_THAT(read(directory / "fifo"), IsEmpty());
}

} // namespace
} // namespace cppvm::network
