#include "common/async/timeout.hpp"
#include "tests/support/co_test.hpp"
#include "tests/unit/common/ttrpc/link.hpp"
#include "tests/unit/common/ttrpc/raw_peer.hpp"

#include <boost/asio/post.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cppvm::ttrpc::testing {

namespace {

using cppvm::testing::co_test;
using ::testing::HasSubstr;

constexpr std::uint8_t closed_flags = flag_remote_closed | flag_no_data;

Awaitable<std::unique_ptr<Stream>> open(Link& link, std::string method, CallOptions options = {}) {
    return link.client->open_stream("test.v1.Echo", std::move(method), std::move(options));
}

TEST(StreamTest, MessagesGoBothWaysInOrder) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        const auto stream = co_await open(link, "Repeat");
        for (const std::string message : {"one", "", "three"}) {
            co_await stream->send(message);
        }
        for (const std::string message : {"one", "", "three"}) {
            const auto received = co_await stream->receive();
            EXPECT_EQ(received, message);
        }
        stream->close_send();
        stream->close_send();
        const auto end = co_await stream->receive();
        EXPECT_EQ(end, std::nullopt);
        const auto still_end = co_await stream->receive();
        EXPECT_EQ(still_end, std::nullopt);
        co_await link.stop();
    }());
}

TEST(StreamTest, CallsAndStreamsShareAConnection) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        const auto one = co_await open(link, "Repeat");
        const auto other = co_await open(link, "Repeat");
        co_await other->send("to other");
        const std::string reply = co_await link.call("Echo", "between");
        EXPECT_EQ(reply, "between");
        co_await one->send("to one");
        const auto from_one = co_await one->receive();
        EXPECT_EQ(from_one, "to one");
        const auto from_other = co_await other->receive();
        EXPECT_EQ(from_other, "to other");
        co_await link.stop();
    }());
}

TEST(StreamTest, HandlersErrorComesAfterItsMessages) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        const auto stream = co_await open(link, "Repeat");
        co_await stream->send("before");
        co_await stream->send("fail");
        const auto message = co_await stream->receive();
        EXPECT_EQ(message, "before");
        const Status status = co_await status_of(stream->receive());
        EXPECT_EQ(status, (Status{Code::aborted, "asked to fail"}));
        const Status sent = co_await status_of(stream->send("late"));
        EXPECT_EQ(sent, (Status{Code::aborted, "asked to fail"}));
        co_await link.stop();
    }());
}

TEST(StreamTest, UnknownMethodOrServiceIsUnimplemented) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        const auto method = co_await open(link, "Nothing");
        const Status status = co_await status_of(method->receive());
        EXPECT_EQ(status, (Status{Code::unimplemented, "method Nothing"}));
        const auto service = co_await link.client->open_stream("no.Such", "Repeat");
        const Status other = co_await status_of(service->receive());
        EXPECT_EQ(other, (Status{Code::unimplemented, "service no.Such"}));
        co_await link.stop();
    }());
}

TEST(StreamTest, SendingAfterTheEndIsRefused) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        const auto stream = co_await open(link, "Repeat");
        stream->close_send();
        const Status own = co_await status_of(stream->send("late"));
        EXPECT_EQ(own.code, Code::failed_precondition);
        EXPECT_THAT(own.message, HasSubstr("this side has ended it"));
        const auto counted = co_await open(link, "Count");
        co_await counted->send("0");
        const auto end = co_await counted->receive();
        EXPECT_EQ(end, std::nullopt);
        const Status peer = co_await status_of(counted->send("late"));
        EXPECT_EQ(peer.code, Code::failed_precondition);
        EXPECT_THAT(peer.message, HasSubstr("the peer has ended it"));
        co_await link.stop();
    }());
}

TEST(StreamTest, LargestMessagePassesAndALargerOneIsRefused) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        const auto stream = co_await open(link, "Repeat");
        const std::string message(max_payload_bytes, 'm');
        co_await stream->send(message);
        const auto received = co_await stream->receive();
        EXPECT_TRUE(received == message);
        const Status status = co_await status_of(stream->send(message + "m"));
        EXPECT_EQ(status.code, Code::resource_exhausted);
        co_await stream->send("still open");
        const auto after = co_await stream->receive();
        EXPECT_EQ(after, "still open");
        co_await link.stop();
    }());
}

TEST(StreamTest, DeadlineEndsBothSides) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        const auto stream = co_await open(
            link,
            "BlockStream",
            {.deadline = deadline_in(std::chrono::milliseconds(100)), .metadata = {}}
        );
        const auto ready = co_await stream->receive();
        EXPECT_EQ(ready, "ready");
        const Status status = co_await status_of(stream->receive());
        EXPECT_EQ(status.code, Code::deadline_exceeded);
        EXPECT_THAT(status.message, HasSubstr("test.v1.Echo/BlockStream"));
        co_await link.service.unblocked.wait();
        co_await link.stop();
    }());
}

TEST(StreamTest, LostConnectionFailsTheClientAndCancelsTheHandler) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        const auto stream = co_await open(link, "BlockStream");
        co_await link.service.blocked.wait();
        co_await link.server.stop();
        EXPECT_EQ(link.service.cancelled, 1);
        const auto ready = co_await stream->receive(); // came before the end
        EXPECT_EQ(ready, "ready");
        const Status status = co_await status_of(stream->receive());
        EXPECT_EQ(status, (Status{Code::unavailable, "ttrpc: closed"}));
        const Status sent = co_await status_of(stream->send("late"));
        EXPECT_EQ(sent, (Status{Code::unavailable, "ttrpc: closed"}));
        co_await link.stop();
    }());
}

TEST(StreamTest, AbandonedStreamEndsTheHandlersInput) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        {
            const auto stream = co_await open(link, "Repeat");
            co_await stream->send("unread");
        }
        const std::string reply = co_await link.call("Echo", "after");
        EXPECT_EQ(reply, "after");
        co_await link.stop();
    }());
}

/// A client and a scripted server, with one open stream.
struct ScriptedStream {
    explicit ScriptedStream(const asio::any_io_executor& executor)
        : ScriptedStream(socket_pair(executor), executor) {}
    ScriptedStream(
        std::pair<StreamSocket, StreamSocket> sockets, const asio::any_io_executor& executor
    )
        : client(std::move(sockets.first), {}), server(std::move(sockets.second)),
          tasks(executor, {}) {
        tasks.spawn("client", client.run());
    }

    Awaitable<> start() {
        stream = co_await client.open_stream("s", "m");
        request = co_await server.receive();
    }

    /// Returns when the client has seen everything that the server sent so far.
    Awaitable<> settle() {
        Event answered(co_await asio::this_coro::executor);
        tasks.spawn("settle", call(answered));
        const auto asked = co_await server.receive();
        co_await server.send(encode_response(asked->header.stream, {}));
        co_await answered.wait();
    }

    Awaitable<> call(Event& answered) {
        co_await client.call("s", "settle", "");
        answered.set();
    }

    Awaitable<> stop() {
        stream.reset();
        co_await client.stop();
        co_await tasks.stop();
    }

    Client client;
    RawPeer server;
    std::unique_ptr<Stream> stream;
    std::optional<Frame> request;
    TaskGroup tasks;
};

TEST(StreamTest, ClientsFramesAreThoseOfTheProtocol) {
    co_test([]() -> Awaitable<> {
        ScriptedStream scripted(co_await asio::this_coro::executor);
        co_await scripted.start();
        EXPECT_EQ(
            scripted.request->header, (FrameHeader{6, 1, FrameType::request, flag_remote_open})
        );
        // Service and method, and no payload field: that would be a first message.
        EXPECT_EQ(scripted.request->payload, std::string("\x0a\x01s\x12\x01m"));
        co_await scripted.stream->send("message");
        const auto data = co_await scripted.server.receive();
        EXPECT_EQ(data->header, (FrameHeader{7, 1, FrameType::data, 0}));
        EXPECT_EQ(data->payload, "message");
        scripted.stream->close_send();
        const auto end = co_await scripted.server.receive();
        EXPECT_EQ(end->header, (FrameHeader{0, 1, FrameType::data, closed_flags}));
        co_await scripted.stop();
    }());
}

TEST(StreamTest, ServerMayEndWithItsLastMessage) {
    co_test([]() -> Awaitable<> {
        ScriptedStream scripted(co_await asio::this_coro::executor);
        co_await scripted.start();
        co_await scripted.server.send(encode_frame(1, FrameType::data, flag_remote_closed, "last"));
        const auto last = co_await scripted.stream->receive();
        EXPECT_EQ(last, "last");
        const auto end = co_await scripted.stream->receive();
        EXPECT_EQ(end, std::nullopt);
        co_await scripted.stop();
    }());
}

TEST(StreamTest, ServerThatDoesNotStreamAnswersWithAResponse) {
    co_test([]() -> Awaitable<> {
        ScriptedStream scripted(co_await asio::this_coro::executor);
        co_await scripted.start();
        Response response;
        response.payload = "sum";
        co_await scripted.server.send(encode_response(1, std::move(response)));
        const auto sum = co_await scripted.stream->receive();
        EXPECT_EQ(sum, "sum");
        const auto end = co_await scripted.stream->receive();
        EXPECT_EQ(end, std::nullopt);
        co_await scripted.stop();
    }());
}

TEST(StreamTest, BadFramesFailTheStreamOnly) {
    co_test([]() -> Awaitable<> {
        ScriptedStream scripted(co_await asio::this_coro::executor);
        co_await scripted.start();
        co_await scripted.server.send(encode_frame(1, FrameType::response, 0, "\xff"));
        const Status malformed = co_await status_of(scripted.stream->receive());
        EXPECT_EQ(malformed, (Status{Code::internal, "stream s/m: malformed response"}));

        co_await scripted.start();
        const std::uint32_t length = max_payload_bytes + 1;
        const auto header = encode_header({.length = length, .stream = 3, .type = FrameType::data});
        co_await scripted.server.send(std::string(header.data(), header.size()));
        co_await scripted.server.send(std::string(length, 'x'));
        const Status oversized = co_await status_of(scripted.stream->receive());
        EXPECT_EQ(oversized.code, Code::resource_exhausted);
        EXPECT_FALSE(scripted.client.is_closed());
        co_await scripted.stop();
    }());
}

TEST(StreamTest, PeerThatSendsFasterThanIsReadFailsTheStreamOnly) {
    co_test([]() -> Awaitable<> {
        ScriptedStream scripted(co_await asio::this_coro::executor);
        co_await scripted.start();
        const std::string chunk(1UL << 20U, 'x');
        for (int index = 0; index < 9; ++index) {
            co_await scripted.server.send(encode_frame(1, FrameType::data, 0, chunk));
        }
        co_await scripted.settle();
        for (int index = 0; index < 8; ++index) {
            const auto message = co_await scripted.stream->receive();
            EXPECT_EQ(message->size(), chunk.size());
        }
        const Status status = co_await status_of(scripted.stream->receive());
        EXPECT_EQ(status.code, Code::resource_exhausted);
        EXPECT_THAT(status.message, HasSubstr("faster than it is read"));
        EXPECT_FALSE(scripted.client.is_closed());
        co_await scripted.stop();
    }());
}

TEST(StreamTest, EmptyMessagesAreBoundedToo) {
    co_test([]() -> Awaitable<> {
        ScriptedStream scripted(co_await asio::this_coro::executor);
        co_await scripted.start();
        std::string frames;
        for (int index = 0; index < 8193; ++index) {
            frames += encode_frame(1, FrameType::data, 0, "");
        }
        co_await scripted.server.send(frames);
        co_await scripted.settle();
        Status status;
        while (status.code == Code::ok) {
            status = co_await status_of(scripted.stream->receive());
        }
        EXPECT_EQ(status.code, Code::resource_exhausted);
        co_await scripted.stop();
    }());
}

} // namespace

} // namespace cppvm::ttrpc::testing
