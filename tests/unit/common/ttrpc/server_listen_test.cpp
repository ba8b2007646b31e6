// Servers that accept: who is let in, and what goes wrong with descriptors.

#include "tests/support/co_test.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/common/ttrpc/capturing_sink.hpp"
#include "tests/unit/common/ttrpc/link.hpp"
#include "tests/unit/common/ttrpc/raw_peer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace cppvm::ttrpc::testing {

namespace {

using cppvm::testing::co_test;
using ::testing::HasSubstr;

Awaitable<StreamSocket> connect_to(const std::filesystem::path& path) {
    StreamSocket socket(co_await asio::this_coro::executor);
    co_await socket.async_connect(
        asio::local::stream_protocol::endpoint(path.string()), asio::use_awaitable
    );
    co_return socket;
}

/// A server on a unix socket.
class Listening : public Served {
  public:
    explicit Listening(
        const asio::any_io_executor& executor, ServerOptions options = {}, Logger logger = {}
    )
        : Served(executor, options, logger), path(dir.path() / "socket"), executor_(executor),
          acceptor_(executor, asio::local::stream_protocol::endpoint(path.string())) {}

    void start() { tasks.spawn("serve", server.serve(std::move(acceptor_))); }

    cppvm::testing::TempDir dir;
    std::filesystem::path path;

  private:
    asio::any_io_executor executor_;
    Server::Acceptor acceptor_;
};

TEST(ServerListenTest, ServesSeveralConnectionsUntilStop) {
    co_test([]() -> Awaitable<> {
        Listening listening(co_await asio::this_coro::executor, {.check_peer_credentials = true});
        listening.start();
        StreamSocket one = co_await connect_to(listening.path);
        StreamSocket other = co_await connect_to(listening.path);
        RawPeer first(std::move(one));
        RawPeer second(std::move(other));
        co_await expect_alive(first, 1);
        co_await expect_alive(second, 1);
        EXPECT_EQ(listening.server.connections(), 2U);
        co_await listening.server.stop();
        co_await listening.server.stop();
        EXPECT_EQ(listening.server.connections(), 0U);
        const auto frame = co_await first.receive();
        EXPECT_FALSE(frame);
        co_await listening.stop();
    }());
}

TEST(ServerListenTest, ServesPeersThatStay) {
    co_test([]() -> Awaitable<> {
        Listening listening(co_await asio::this_coro::executor);
        co_await listening.server.wait_peers_gone();
        listening.start();
        StreamSocket socket = co_await connect_to(listening.path);
        RawPeer peer(std::move(socket));
        co_await expect_alive(peer, 1);
        const Deadline soon = deadline_in(std::chrono::milliseconds(20));
        const bool is_gone = co_await ends_by(listening.server.wait_peers_gone(), soon);
        EXPECT_FALSE(is_gone);
        co_await expect_alive(peer, 3);
        peer.close();
        co_await listening.server.wait_peers_gone();
        EXPECT_EQ(listening.server.connections(), 0U);
        co_await listening.stop();
    }());
}

TEST(ServerListenTest, ServesNobodyAfterStop) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Listening listening(executor);
        co_await listening.server.stop();
        listening.start();
        auto [here, there] = socket_pair(executor);
        co_await listening.server.serve_connection(std::move(there));
        RawPeer peer(std::move(here));
        const auto frame = co_await peer.receive();
        EXPECT_FALSE(frame);
        co_await listening.tasks.join();
        co_await listening.stop();
    }());
}

TEST(ServerListenTest, BoundsConnections) {
    auto sink = std::make_shared<CapturingSink>();
    co_test([](Logger logger) -> Awaitable<> {
        Listening listening(co_await asio::this_coro::executor, {.max_connections = 1}, logger);
        listening.start();
        StreamSocket one = co_await connect_to(listening.path);
        RawPeer first(std::move(one));
        co_await expect_alive(first, 1);
        StreamSocket other = co_await connect_to(listening.path);
        RawPeer second(std::move(other));
        const auto frame = co_await second.receive();
        EXPECT_FALSE(frame);
        co_await expect_alive(first, 3);
        co_await listening.stop();
    }(Logger(sink, LogLevel::info)));
    EXPECT_EQ(sink->count("too many"), 1U);
}

TEST(ServerListenTest, RefusesPeersOfOtherUsers) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "needs root, to connect as somebody else";
    }
    auto sink = std::make_shared<CapturingSink>();
    co_test([](Logger logger) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Served served(executor, {.check_peer_credentials = true}, logger);
        asio::local::stream_protocol::socket here(executor);
        asio::local::stream_protocol::socket there(executor);
        // The raw call changes the ids of this one thread only, and the kernel notes those of the
        // thread that makes the pair.
        std::thread other_user([&] {
            ASSERT_EQ(::syscall(SYS_setresuid, -1, 65534, -1), 0);
            asio::local::connect_pair(here, there);
        });
        other_user.join();
        co_await served.server.serve_connection(StreamSocket(std::move(there)));
        RawPeer peer{StreamSocket(std::move(here))};
        const auto frame = co_await peer.receive();
        EXPECT_FALSE(frame);
        co_await served.stop();
    }(Logger(sink, LogLevel::info)));
    EXPECT_EQ(sink->count("peer runs as user 65534"), 1U);
}

/// The soft limit of descriptors, put back at the end.
class DescriptorLimit {
  public:
    DescriptorLimit() { ::getrlimit(RLIMIT_NOFILE, &before_); }
    ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }
    DescriptorLimit(const DescriptorLimit&) = delete;
    DescriptorLimit& operator=(const DescriptorLimit&) = delete;

    void lower_to(rlim_t limit) const {
        rlimit lowered = before_;
        lowered.rlim_cur = limit;
        ::setrlimit(RLIMIT_NOFILE, &lowered);
    }

  private:
    rlimit before_{};
};

TEST(ServerListenTest, GoesOnWhenItWasOutOfDescriptors) {
#if defined(__has_feature)
#if __has_feature(undefined_behavior_sanitizer)
    GTEST_SKIP() << "UBSan itself opens a pipe to look at a virtual table, and takes it for broken "
                    "when there is no descriptor left";
#endif
#endif
    auto sink = std::make_shared<CapturingSink>();
    co_test([](std::shared_ptr<CapturingSink> lines) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Event warned(executor);
        lines->on_line = [&warned] { warned.set(); };
        Listening listening(executor, {}, Logger(lines, LogLevel::info));
        StreamSocket socket = co_await connect_to(listening.path);
        RawPeer peer(std::move(socket));
        {
            const DescriptorLimit limit;
            limit.lower_to(3);
            listening.start();
            co_await warned.wait();
        }
        co_await expect_alive(peer, 1);
        co_await listening.stop();
        lines->on_line = nullptr;
    }(sink));
    EXPECT_EQ(sink->count("Cannot accept a connection"), 1U);
}

TEST(ServerListenTest, UnusableAcceptorIsAnError) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Served served(executor);
        Server::Acceptor closed(executor);
        const Status status = co_await status_of(served.server.serve(std::move(closed)));
        EXPECT_EQ(status.code, Code::internal);
        EXPECT_THAT(status.message, HasSubstr("accept connections"));
        co_await served.stop();
    }());
}

} // namespace

} // namespace cppvm::ttrpc::testing
