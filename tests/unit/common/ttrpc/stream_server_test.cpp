// The server's side of streams, against a client whose bytes the test writes itself.

#include "tests/support/co_test.hpp"
#include "tests/unit/common/ttrpc/link.hpp"
#include "tests/unit/common/ttrpc/raw_peer.hpp"

#include <gtest/gtest.h>

namespace cppvm::ttrpc::testing {

namespace {

using cppvm::testing::co_test;

constexpr std::uint8_t end_flags = flag_remote_closed | flag_no_data;

/// A served connection whose client is only a socket.
struct RawStreamLink : Served {
    explicit RawStreamLink(const asio::any_io_executor& executor)
        : Served(executor), peer(connect(executor)) {}

    Awaitable<>
    open(std::uint32_t id, std::string method, std::string payload, std::uint8_t flags) {
        Request request;
        request.service = "test.v1.Echo";
        request.method = std::move(method);
        request.payload = std::move(payload);
        co_await peer.send_request(id, std::move(request), flags);
    }

    RawPeer peer;

  private:
    StreamSocket connect(const asio::any_io_executor& executor) {
        auto [here, there] = socket_pair(executor);
        tasks.spawn("server", server.serve_connection(std::move(there)));
        return std::move(here);
    }
};

TEST(StreamServerTest, ServerStreamsToARequestThatIsClosed) {
    co_test([]() -> Awaitable<> {
        RawStreamLink link(co_await asio::this_coro::executor);
        co_await link.open(1, "Count", "2", flag_remote_closed);
        const auto zero = co_await link.peer.receive();
        EXPECT_EQ(zero->payload, "0");
        const auto one = co_await link.peer.receive();
        EXPECT_EQ(one->header, (FrameHeader{1, 1, FrameType::data, 0}));
        const auto end = co_await link.peer.receive();
        EXPECT_EQ(end->header, (FrameHeader{0, 1, FrameType::data, end_flags}));
        co_await link.stop();
    }());
}

TEST(StreamServerTest, PayloadOfTheOpeningRequestIsTheFirstMessage) {
    co_test([]() -> Awaitable<> {
        RawStreamLink link(co_await asio::this_coro::executor);
        co_await link.open(1, "Repeat", "first", flag_remote_open);
        // Right behind it, before the handler has run.
        co_await link.peer.send(encode_frame(1, FrameType::data, flag_remote_closed, "last"));
        const auto first = co_await link.peer.receive();
        EXPECT_EQ(first->payload, "first");
        const auto last = co_await link.peer.receive();
        EXPECT_EQ(last->payload, "last");
        const auto end = co_await link.peer.receive();
        EXPECT_EQ(end->header.flags, end_flags);
        co_await link.stop();
    }());
}

TEST(StreamServerTest, ServerRefusesDataAfterTheClientsEnd) {
    co_test([]() -> Awaitable<> {
        RawStreamLink link(co_await asio::this_coro::executor);
        co_await link.open(1, "BlockStream", "", flag_remote_open);
        co_await link.peer.receive();
        co_await link.peer.send(encode_frame(1, FrameType::data, end_flags, ""));
        co_await link.peer.send(encode_frame(1, FrameType::data, 0, "late"));
        link.service.released.set();
        const auto end = co_await link.peer.receive();
        EXPECT_EQ(end->header.flags, end_flags);
        co_await link.peer.send(encode_frame(1, FrameType::data, 0, "later"));
        const auto [id, response] = co_await link.peer.receive_response();
        EXPECT_EQ(id, 1U);
        EXPECT_EQ(response.status.code, Code::invalid_argument);
        co_await link.stop();
    }());
}

TEST(StreamServerTest, ServerFailsAStreamThatFloodsIt) {
    co_test([]() -> Awaitable<> {
        RawStreamLink link(co_await asio::this_coro::executor);
        co_await link.open(1, "BlockStream", "", flag_remote_open);
        co_await link.peer.receive();
        const std::string chunk(1UL << 20U, 'x');
        for (int index = 0; index < 12; ++index) {
            co_await link.peer.send(encode_frame(1, FrameType::data, 0, chunk));
        }
        co_await link.peer.send_echo(3, "alive");
        const auto [id, response] = co_await link.peer.receive_response();
        EXPECT_EQ(id, 3U);
        EXPECT_EQ(response.payload, "alive");
        co_await link.stop();
    }());
}

} // namespace

} // namespace cppvm::ttrpc::testing
