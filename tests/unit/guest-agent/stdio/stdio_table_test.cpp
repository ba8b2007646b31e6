#include "guest-agent/stdio/stdio_table.hpp"
#include "tests/support/co_test.hpp"
#include "tests/unit/guest-agent/stdio/socket_pair.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

namespace cppvm::guest {
namespace {

using cppvm::testing::co_test;

/// The other end's view: until the table's end is closed.
Awaitable<> wait_closed(StreamSocket& socket) {
    char byte = 0;
    auto [error, size] = co_await asio::async_read(socket, asio::buffer(&byte, 1), use_tuple);
    EXPECT_TRUE(error);
}

TEST(StdioTableTest, GivesEachConnectionOnce) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        StdioTable table(executor, Logger());
        auto [host, agent] = make_socket_pair(executor);
        EXPECT_TRUE(table.park(7, std::move(agent)));
        EXPECT_FALSE(table.take(8));
        // What the host sends before is for whoever takes it.
        co_await asio::async_write(host, asio::buffer("x", 1), asio::use_awaitable);
        const auto taken = table.take(7);
        EXPECT_TRUE(taken);
        EXPECT_FALSE(table.take(7));
        const auto connection = co_await taken->next();
        char byte = 0;
        co_await asio::async_read(*connection->socket, asio::buffer(&byte, 1), asio::use_awaitable);
        EXPECT_EQ(byte, 'x');
        co_await table.stop();
    }());
}

TEST(StdioTableTest, KnowsAStreamAsLongAsSomebodyHoldsIt) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        StdioTable table(executor, Logger());
        auto [host, agent] = make_socket_pair(executor);
        auto [host2, agent2] = make_socket_pair(executor);
        EXPECT_FALSE(table.find(7));
        EXPECT_TRUE(table.park(7, std::move(agent)));
        EXPECT_FALSE(table.find(7)) << "nobody has named it yet";
        auto taken = table.take(7);
        EXPECT_EQ(table.find(7), taken);
        EXPECT_FALSE(table.park(7, std::move(agent2))) << "each id is used once";
        taken.reset();
        EXPECT_FALSE(table.find(7));
        co_await table.stop();
    }());
}

TEST(StdioStreamTest, ShutsTheConnectionInUseDownForTheNext) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        auto [host, agent] = make_socket_pair(executor);
        auto [host2, agent2] = make_socket_pair(executor);
        StdioStream stream(executor, std::move(agent));
        const auto first = co_await stream.next();
        EXPECT_EQ(first->received, 0U);
        stream.resume(std::move(agent2), 5);
        co_await wait_closed(host);
        const auto second = co_await stream.next();
        EXPECT_EQ(second->received, 5U);
        co_await asio::async_write(host2, asio::buffer("x", 1), asio::use_awaitable);
        char byte = 0;
        co_await asio::async_read(*second->socket, asio::buffer(&byte, 1), asio::use_awaitable);
        EXPECT_EQ(byte, 'x');
    }());
}

TEST(StdioTableTest, RefusesZeroDoublesAndTooMany) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        StdioTable table(executor, Logger(), 2);
        std::vector<std::pair<StreamSocket, StreamSocket>> pairs;
        pairs.reserve(5);
        for (int i = 0; i < 5; ++i) {
            pairs.push_back(make_socket_pair(executor));
        }
        EXPECT_FALSE(table.park(0, std::move(pairs[0].second)));
        EXPECT_TRUE(table.park(1, std::move(pairs[1].second)));
        EXPECT_FALSE(table.park(1, std::move(pairs[2].second)));
        EXPECT_TRUE(table.park(2, std::move(pairs[3].second)));
        EXPECT_FALSE(table.park(3, std::move(pairs[4].second)));
        EXPECT_EQ(table.size(), 2U);
        co_await table.stop();
        EXPECT_EQ(table.size(), 0U);
        co_await wait_closed(pairs[1].first);
    }());
}

TEST(StdioTableTest, DropsWhatNobodyTakes) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        StdioTable table(executor, Logger(), 2, std::chrono::milliseconds(1));
        auto [host, agent] = make_socket_pair(executor);
        EXPECT_TRUE(table.park(7, std::move(agent)));
        co_await wait_closed(host);
        EXPECT_EQ(table.size(), 0U);
        co_await table.stop();
    }());
}

TEST(StdioTableTest, DropsWhatTheHostCloses) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        StdioTable table(executor, Logger());
        auto [host, agent] = make_socket_pair(executor);
        EXPECT_TRUE(table.park(7, std::move(agent)));
        host.close();
        while (table.size() != 0) {
            co_await asio::post(executor, asio::use_awaitable);
        }
        auto [host2, agent2] = make_socket_pair(executor);
        EXPECT_TRUE(table.park(7, std::move(agent2)));
        co_await table.stop();
    }());
}

} // namespace
} // namespace cppvm::guest
