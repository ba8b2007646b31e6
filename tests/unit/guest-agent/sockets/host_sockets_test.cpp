#include "common/base/error.hpp"
#include "common/os/unix_connection.hpp"
#include "guest-agent/sockets/host_sockets.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace cppvm::guest {
namespace {

class HostSocketsTest : public ::testing::Test {
  protected:
    using Body = std::function<Awaitable<>(HostSockets&)>;

    void run(Body body) {
        testing::co_test([](Body inner, std::filesystem::path directory) -> Awaitable<> {
            HostSockets sockets(co_await asio::this_coro::executor, Logger(), directory);
            co_await inner(sockets);
            co_await sockets.stop();
        }(std::move(body), directory()));
    }

    std::filesystem::path directory() const { return dir / "sockets"; }
    std::filesystem::path path(int number) const { return directory() / std::to_string(number); }

    static HostSocketSpec spec(std::uint64_t number, mode_t mode = 0600) {
        return {number, ::geteuid(), ::getegid(), mode};
    }

    testing::TempDir dir;
};

/// The first connection after `last` that waits, once there is one.
Awaitable<HostSockets::Waiting> next(HostSockets& sockets, std::uint64_t last = 0) {
    for (;;) {
        if (const auto waiting = sockets.waiting_after(last)) {
            co_return *waiting;
        }
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    }
}

Awaitable<> expect_end(asio::local::stream_protocol::socket& socket) {
    char byte = 0;
    auto [error, size] = co_await socket.async_read_some(asio::buffer(&byte, 1), use_tuple);
    EXPECT_TRUE(error) << "a byte came";
}

TEST_F(HostSocketsTest, ListensWithTheHostsModeUntilItIsClosed) {
    run([this](HostSockets& sockets) -> Awaitable<> {
        {
            const auto listening = sockets.listen(spec(3, 0640));
            struct stat status{};
            EXPECT_EQ(::stat(path(3).c_str(), &status), 0);
            EXPECT_TRUE(S_ISSOCK(status.st_mode));
            EXPECT_EQ(status.st_mode & 07777U, 0640u);
            EXPECT_THROW(sockets.listen(spec(3)), Error); // it is in use
        }
        EXPECT_FALSE(std::filesystem::exists(path(3)));
        co_return;
    });
}

TEST_F(HostSocketsTest, KeepsConnectionsForTheHost) {
    run([this](HostSockets& sockets) -> Awaitable<> {
        int told = 0;
        sockets.set_on_waiting([&] { ++told; });
        const auto one = sockets.listen(spec(1));
        const auto two = sockets.listen(spec(2));
        auto first = co_await connect_unix(path(2));
        const auto waiting = co_await next(sockets);
        EXPECT_EQ(waiting.socket, 2u);
        EXPECT_EQ(told, 1);
        auto second = co_await connect_unix(path(1));
        const auto other = co_await next(sockets, waiting.connection);
        EXPECT_EQ(other.socket, 1u);
        auto taken = sockets.take(waiting.connection);
        EXPECT_TRUE(taken.has_value());
        EXPECT_FALSE(sockets.take(waiting.connection).has_value());
        EXPECT_FALSE(sockets.take(0).has_value());
        taken.reset();
        co_await expect_end(first);
    });
}

TEST_F(HostSocketsTest, DropsWhatWaitsWithItsSocket) {
    run([this](HostSockets& sockets) -> Awaitable<> {
        std::optional<HostSockets::Listening> listening(sockets.listen(spec(1)));
        auto client = co_await connect_unix(path(1));
        const auto waiting = co_await next(sockets);
        listening.reset();
        co_await expect_end(client);
        EXPECT_FALSE(sockets.take(waiting.connection).has_value());
    });
}

TEST_F(HostSocketsTest, AcceptsNoMoreThanMayWait) {
    run([this](HostSockets& sockets) -> Awaitable<> {
        const auto listening = sockets.listen(spec(1));
        std::vector<asio::local::stream_protocol::socket> clients;
        for (std::size_t i = 0; i < HostSockets::max_waiting + 5; ++i) {
            clients.push_back(co_await connect_unix(path(1)));
        }
        std::uint64_t last = 0;
        for (std::size_t i = 0; i < HostSockets::max_waiting; ++i) {
            last = (co_await next(sockets, last)).connection;
        }
        for (int turn = 0; turn < 10; ++turn) {
            co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        }
        EXPECT_FALSE(sockets.waiting_after(last).has_value());
        EXPECT_TRUE(sockets.take(last).has_value());
        const auto next_one = co_await next(sockets, last); // there is room again
        EXPECT_EQ(next_one.socket, 1u);
    });
}

} // namespace
} // namespace cppvm::guest
