#include "common/async/timeout.hpp"
#include "tests/support/co_test.hpp"
#include "tests/unit/common/ttrpc/link.hpp"
#include "tests/unit/common/ttrpc/raw_peer.hpp"

#include <boost/asio/post.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

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

} // namespace

} // namespace cppvm::ttrpc::testing
