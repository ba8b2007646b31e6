#include "common/async/timeout.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/ttrpc/capturing_sink.hpp"
#include "tests/unit/ttrpc/link.hpp"
#include "tests/unit/ttrpc/raw_peer.hpp"

#include <boost/asio/post.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace cppvm::ttrpc::testing {

namespace {

using cppvm::testing::co_test;
using ::testing::HasSubstr;

/// A server and a client that is only a socket.
class RawLink : public Served {
  public:
    explicit RawLink(
        const asio::any_io_executor& executor, ServerOptions options = {}, Logger logger = {}
    )
        : Served(executor, options, logger), peer(connect(executor)) {}

    RawPeer peer;

  private:
    StreamSocket connect(const asio::any_io_executor& executor) {
        auto [here, there] = socket_pair(executor);
        tasks.spawn("server", server.serve_connection(std::move(there)));
        return std::move(here);
    }
};

Request request_for(std::string method, std::int64_t timeout_nano = 0) {
    Request request;
    request.service = "test.v1.Echo";
    request.method = std::move(method);
    request.timeout_nano = timeout_nano;
    return request;
}

/// The connection answers another call: it survived what came before.
Awaitable<> expect_alive(RawPeer& peer, std::uint32_t stream) {
    co_await peer.send_echo(stream, "alive");
    const auto [id, response] = co_await peer.receive_response();
    EXPECT_EQ(id, stream);
    EXPECT_EQ(response.payload, "alive");
}

Awaitable<> expect_refused(RawPeer& peer, std::uint32_t stream, Code code, std::string text) {
    const auto [id, response] = co_await peer.receive_response();
    EXPECT_EQ(id, stream);
    EXPECT_EQ(response.status.code, code) << response.status.message;
    EXPECT_THAT(response.status.message, HasSubstr(text));
}

TEST(ServerTest, RefusesIdsThatAreEvenOrDoNotRise) {
    co_test([]() -> Awaitable<> {
        RawLink link(co_await asio::this_coro::executor);
        co_await expect_alive(link.peer, 5);
        for (const std::uint32_t id : {0U, 2U, 6U, 5U, 3U}) {
            co_await link.peer.send_echo(id, "no");
            co_await expect_refused(
                link.peer, id, Code::invalid_argument, "stream " + std::to_string(id)
            );
        }
        co_await expect_alive(link.peer, 7);
        EXPECT_EQ(link.service.calls, 2);
        co_await link.stop();
    }());
}

TEST(ServerTest, RefusesMalformedRequests) {
    co_test([]() -> Awaitable<> {
        RawLink link(co_await asio::this_coro::executor);
        co_await link.peer.send(encode_frame(1, FrameType::request, 0, "\xff\xff noise"));
        co_await expect_refused(link.peer, 1, Code::invalid_argument, "malformed request");
        // An empty one decodes, to a request of the service "".
        co_await link.peer.send(encode_frame(3, FrameType::request, 0, ""));
        co_await expect_refused(link.peer, 3, Code::unimplemented, "service ");
        co_await expect_alive(link.peer, 5);
        co_await link.stop();
    }());
}

TEST(ServerTest, ReadsAndRefusesOversizedRequests) {
    co_test([]() -> Awaitable<> {
        RawLink link(co_await asio::this_coro::executor);
        const std::uint32_t length = 6 * 1024 * 1024;
        const auto header = encode_header({.length = length, .stream = 1});
        co_await link.peer.send(std::string(header.data(), header.size()));
        co_await link.peer.send(std::string(length, 'x'));
        co_await expect_refused(link.peer, 1, Code::resource_exhausted, "6291456");
        co_await expect_alive(link.peer, 3);
        co_await link.stop();
    }());
}

TEST(ServerTest, SkipsFramesOfOtherTypes) {
    co_test([]() -> Awaitable<> {
        RawLink link(co_await asio::this_coro::executor);
        co_await link.peer.send(encode_frame(1, static_cast<FrameType>(4), 0, "future"));
        co_await link.peer.send(encode_frame(9, static_cast<FrameType>(0), 0xff, ""));
        co_await link.peer.send(encode_response(1, {}));
        co_await expect_alive(link.peer, 1);
        co_await link.stop();
    }());
}

TEST(ServerTest, TakesAUnaryRequestThatSaysItIsClosed) {
    co_test([]() -> Awaitable<> {
        RawLink link(co_await asio::this_coro::executor);
        co_await link.peer.send_request(1, request_for("Echo"), flag_remote_closed);
        const auto [id, response] = co_await link.peer.receive_response();
        EXPECT_EQ(id, 1U);
        EXPECT_EQ(response.status, Status{});
        co_await link.stop();
    }());
}

TEST(ServerTest, RefusesDataOnAStreamThatIsNotOpen) {
    co_test([]() -> Awaitable<> {
        RawLink link(co_await asio::this_coro::executor);
        co_await link.peer.send(encode_frame(1, FrameType::data, 0, "data"));
        co_await expect_refused(link.peer, 1, Code::invalid_argument, "not open");
        co_await expect_alive(link.peer, 1);
        co_await link.peer.send(encode_frame(1, FrameType::data, 0, "data"));
        co_await expect_refused(link.peer, 1, Code::invalid_argument, "not open");
        co_await link.stop();
    }());
}

TEST(ServerTest, AnswersWhenTheDeadlineComes) {
    co_test([]() -> Awaitable<> {
        RawLink link(co_await asio::this_coro::executor);
        co_await link.peer.send_request(1, request_for("Block", 1'000'000));
        co_await expect_refused(link.peer, 1, Code::deadline_exceeded, "test.v1.Echo/Block");
        EXPECT_EQ(link.service.cancelled, 1);
        co_await link.stop();
    }());
}

TEST(ServerTest, DoesNotStartWhatIsOverAlready) {
    co_test([]() -> Awaitable<> {
        RawLink link(co_await asio::this_coro::executor);
        co_await link.peer.send_request(1, request_for("Echo", -1));
        co_await expect_refused(link.peer, 1, Code::deadline_exceeded, "test.v1.Echo/Echo");
        co_await link.peer.send_request(
            3, request_for("Echo", std::numeric_limits<std::int64_t>::min())
        );
        co_await expect_refused(link.peer, 3, Code::deadline_exceeded, "test.v1.Echo/Echo");
        EXPECT_EQ(link.service.calls, 0);
        co_await link.stop();
    }());
}

TEST(ServerTest, LongestTimeoutIsNone) {
    co_test([]() -> Awaitable<> {
        RawLink link(co_await asio::this_coro::executor);
        co_await link.peer.send_request(
            1, request_for("Echo", std::numeric_limits<std::int64_t>::max())
        );
        const auto [id, response] = co_await link.peer.receive_response();
        EXPECT_EQ(response.status, Status{});
        EXPECT_EQ(link.service.last_deadline, no_deadline);
        co_await link.stop();
    }());
}

TEST(ServerTest, BoundsRequestsAtOnce) {
    co_test([]() -> Awaitable<> {
        RawLink link(co_await asio::this_coro::executor, {.max_requests = 3});
        for (const std::uint32_t id : {1U, 3U, 5U, 7U}) {
            co_await link.peer.send_request(id, request_for("Block"));
        }
        co_await expect_refused(link.peer, 7, Code::resource_exhausted, "more than 3 requests");
        link.service.released.set();
        for (int count = 0; count < 3; ++count) {
            const auto [id, response] = co_await link.peer.receive_response();
            EXPECT_EQ(response.payload, "released");
        }
        co_await expect_alive(link.peer, 9);
        co_await link.stop();
    }());
}

TEST(ServerTest, BoundsBytesOfRequests) {
    co_test([]() -> Awaitable<> {
        RawLink link(co_await asio::this_coro::executor, {.max_request_bytes = 1000});
        Request large = request_for("Block");
        large.payload = std::string(600, 'x');
        co_await link.peer.send_request(1, large);
        co_await link.peer.send_request(3, large);
        co_await expect_refused(link.peer, 3, Code::resource_exhausted, "1000 bytes");
        link.service.released.set();
        const auto [first, released] = co_await link.peer.receive_response();
        EXPECT_EQ(released.payload, "released");
        co_await link.peer.send_request(5, large);
        const auto [second, again] = co_await link.peer.receive_response();
        EXPECT_EQ(again.payload, "released");
        co_await link.stop();
    }());
}

TEST(ServerTest, PeerThatDoesNotReadHoldsUpOnlyItself) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Link link(executor);
        auto [here, there] = socket_pair(executor);
        link.tasks.spawn("lazy connection", link.server.serve_connection(std::move(there)));
        RawPeer lazy(std::move(here));
        Request request = request_for("Grow");
        request.payload = "1000000";
        const int count = 40;
        for (int index = 0; index < count; ++index) {
            co_await lazy.send_request(static_cast<std::uint32_t>(2 * index + 1), request);
        }
        const std::string reply = co_await link.call("Echo", "prompt");
        EXPECT_EQ(reply, "prompt");
        for (int index = 0; index < count; ++index) {
            const auto [id, response] = co_await lazy.receive_response();
            EXPECT_EQ(response.payload.size(), 1000000U);
        }
        lazy.close();
        co_await link.stop();
    }());
}

TEST(ServerTest, TellsTheHandlerAlsoWhenTheReplyCannotBeSent) {
    co_test([]() -> Awaitable<> {
        RawLink link(co_await asio::this_coro::executor);
        co_await link.peer.send_request(1, request_for("Tell"));
        while (link.service.calls == 0) {
            co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        }
        link.peer.close();
        co_await link.stop();
        EXPECT_TRUE(link.service.told);
    }());
}

TEST(ServerTest, ServiceHasFurtherNames) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        link.server.add(link.service, "test.v2.Echo");
        const std::string reply = co_await link.client->call("test.v2.Echo", "Echo", "two");
        EXPECT_EQ(reply, "two");
        co_await link.stop();
    }());
}

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

TEST(ServerTest, ServesSeveralConnectionsUntilStop) {
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

TEST(ServerTest, ServesNobodyAfterStop) {
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

TEST(ServerTest, BoundsConnections) {
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

TEST(ServerTest, RefusesPeersOfOtherUsers) {
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

TEST(ServerTest, GoesOnWhenItWasOutOfDescriptors) {
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

TEST(ServerTest, UnusableAcceptorIsAnError) {
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
