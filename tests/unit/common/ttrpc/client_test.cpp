// The client against a server whose bytes the test writes itself.

#include "common/async/timeout.hpp"
#include "tests/support/co_test.hpp"
#include "tests/unit/common/ttrpc/capturing_sink.hpp"
#include "tests/unit/common/ttrpc/link.hpp"
#include "tests/unit/common/ttrpc/raw_peer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cppvm::ttrpc::testing {

namespace {

using cppvm::testing::co_test;
using ::testing::HasSubstr;

/// A client and a scripted server.
class Scripted {
  public:
    explicit Scripted(
        const asio::any_io_executor& executor, Logger logger = {}, PeerPolicy policy = {}
    )
        : Scripted(socket_pair(executor), executor, logger, std::move(policy)) {}

    void call(std::string method) { tasks.spawn("call", observe(std::move(method))); }

    Awaitable<> stop() {
        co_await client.stop();
        co_await tasks.stop();
    }

    Client client;
    RawPeer server;
    std::vector<Status>
        ended; ///< of the calls, in the order of their ends; ok has the reply's text
    Event changed;
    TaskGroup tasks;

  private:
    Scripted(
        std::pair<StreamSocket, StreamSocket> sockets,
        const asio::any_io_executor& executor,
        Logger logger,
        PeerPolicy policy
    )
        : client(std::move(sockets.first), logger, std::move(policy)),
          server(std::move(sockets.second)), changed(executor), tasks(executor, logger) {
        tasks.spawn("client", client.run());
    }

    Awaitable<> observe(std::string method) {
        Status status;
        try {
            status.message = co_await client.call("s", std::move(method), "");
        } catch (...) {
            status = to_status(std::current_exception());
        }
        ended.push_back(std::move(status));
        changed.set();
    }
};

Response reply_of(std::string payload) {
    Response response;
    response.payload = std::move(payload);
    return response;
}

Awaitable<Status> next_end(Scripted& scripted) {
    while (scripted.ended.empty()) {
        scripted.changed.clear();
        co_await scripted.changed.wait();
    }
    Status status = std::move(scripted.ended.front());
    scripted.ended.erase(scripted.ended.begin());
    co_return status;
}

TEST(ClientTest, IdsOnTheWireAreOddAndRise) {
    co_test([]() -> Awaitable<> {
        Scripted scripted(co_await asio::this_coro::executor);
        for (std::uint32_t index = 0; index < 20; ++index) {
            scripted.call("m" + std::to_string(index));
        }
        for (std::uint32_t index = 0; index < 20; ++index) {
            const auto frame = co_await scripted.server.receive();
            EXPECT_EQ(frame->header.stream, 2 * index + 1);
            EXPECT_EQ(frame->header.flags, 0);
            EXPECT_EQ(decode_request(frame->payload)->method, "m" + std::to_string(index));
        }
        co_await scripted.stop();
    }());
}

// Whatever a call has come to when the connection ends, it must hear of it.
TEST(ClientTest, CallsHearOfTheEndInEveryTurnOfTheLoop) {
    co_test([]() -> Awaitable<> {
        const auto executor = co_await asio::this_coro::executor;
        for (int turns = 0; turns < 20; ++turns) {
            Scripted scripted(executor);
            const auto call = [&]() -> Awaitable<> {
                const Deadline deadline = deadline_in(std::chrono::seconds(5));
                const Status status = co_await status_of(
                    scripted.client.call("s", "m", "", {.deadline = deadline, .metadata = {}})
                );
                EXPECT_EQ(status, (Status{Code::unavailable, "ttrpc: closed"})) << turns;
            };
            TaskGroup calls(executor, Logger());
            calls.spawn("call", call());
            for (int turn = 0; turn < turns; ++turn) {
                co_await asio::post(executor, asio::use_awaitable);
            }
            co_await scripted.client.stop();
            co_await calls.join();
            co_await scripted.stop();
        }
    }());
}

TEST(ClientTest, RepliesMayComeInAnyOrder) {
    co_test([]() -> Awaitable<> {
        Scripted scripted(co_await asio::this_coro::executor);
        scripted.call("first");
        scripted.call("second");
        co_await scripted.server.receive();
        co_await scripted.server.receive();
        co_await scripted.server.send(encode_response(3, reply_of("to second")));
        const Status second = co_await next_end(scripted);
        EXPECT_EQ(second, (Status{Code::ok, "to second"}));
        co_await scripted.server.send(encode_response(1, reply_of("to first")));
        const Status first = co_await next_end(scripted);
        EXPECT_EQ(first, (Status{Code::ok, "to first"}));
        co_await scripted.stop();
    }());
}

TEST(ClientTest, BadReplyFailsItsCallOnly) {
    co_test([]() -> Awaitable<> {
        Scripted scripted(co_await asio::this_coro::executor);
        scripted.call("malformed");
        scripted.call("oversized");
        scripted.call("streamed");
        scripted.call("fine");
        co_await scripted.server.send(encode_frame(1, FrameType::response, 0, "\xff\xff"));
        const Status malformed = co_await next_end(scripted);
        EXPECT_EQ(malformed, (Status{Code::internal, "call s/malformed: malformed response"}));

        const std::uint32_t length = max_payload_bytes + 1;
        const auto header =
            encode_header({.length = length, .stream = 3, .type = FrameType::response});
        co_await scripted.server.send(std::string(header.data(), header.size()));
        co_await scripted.server.send(std::string(length, 'x'));
        const Status oversized = co_await next_end(scripted);
        EXPECT_EQ(oversized.code, Code::resource_exhausted);
        EXPECT_THAT(oversized.message, HasSubstr("call s/oversized: reply of 4194305 bytes"));

        co_await scripted.server.send(encode_frame(5, FrameType::data, 0, "x"));
        const Status streamed = co_await next_end(scripted);
        EXPECT_EQ(streamed.code, Code::internal);
        EXPECT_THAT(streamed.message, HasSubstr("call s/streamed"));

        co_await scripted.server.send(encode_response(7, reply_of("yes")));
        const Status fine = co_await next_end(scripted);
        EXPECT_EQ(fine, (Status{Code::ok, "yes"}));
        co_await scripted.stop();
    }());
}

TEST(ClientTest, DropsRepliesToNoCall) {
    auto sink = std::make_shared<CapturingSink>();
    co_test([](Logger logger) -> Awaitable<> {
        Scripted scripted(co_await asio::this_coro::executor, logger);
        co_await scripted.server.send(encode_response(1, reply_of("too early")));
        co_await scripted.server.send(encode_response(2, reply_of("even")));
        co_await scripted.server.send(encode_frame(1, static_cast<FrameType>(9), 0, "future"));
        co_await scripted.server.send(encode_frame(1, FrameType::request, 0, "backwards"));
        scripted.call("m");
        co_await scripted.server.receive();
        co_await scripted.server.send(encode_response(1, reply_of("yes")));
        co_await scripted.server.send(encode_response(1, reply_of("twice")));
        const Status status = co_await next_end(scripted);
        EXPECT_EQ(status, (Status{Code::ok, "yes"}));
        co_await scripted.stop();
    }(Logger(sink, LogLevel::info)));
    EXPECT_EQ(sink->lines.size(), 0U);
}

// Each would cost time, and a line of the log if it were told.
TEST(ClientTest, EndsAConnectionThatCarriesMostlyWhatBelongsToNoCall) {
    auto sink = std::make_shared<CapturingSink>();
    co_test([](Logger logger) -> Awaitable<> {
        Scripted scripted(co_await asio::this_coro::executor, logger);
        scripted.call("m");
        co_await scripted.server.receive();
        std::string flood;
        for (int count = 0; count < 1000; ++count) {
            flood.append(encode_response(5, reply_of("")));
        }
        co_await scripted.server.send(std::move(flood));
        const Status status = co_await next_end(scripted);
        EXPECT_EQ(status, (Status{Code::unavailable, "ttrpc: closed"}));
        co_await scripted.stop();
    }(Logger(sink, LogLevel::info)));
    EXPECT_EQ(sink->lines.size(), 1U);
    EXPECT_EQ(sink->count("frames that belong to none of the 1 calls"), 1U);
}

TEST(ClientTest, TakesNoMoreThanItsPolicyAllows) {
    co_test([]() -> Awaitable<> {
        PeerPolicy policy;
        policy.max_reply_bytes = 100;
        policy.map_status = [](Status) { return Status{Code::unknown, "mapped"}; };
        Scripted scripted(co_await asio::this_coro::executor, {}, policy);
        scripted.call("large");
        scripted.call("failing");
        co_await scripted.server.receive();
        co_await scripted.server.receive();
        co_await scripted.server.send(encode_response(1, reply_of(std::string(200, 'x'))));
        const Status large = co_await next_end(scripted);
        EXPECT_EQ(large.code, Code::resource_exhausted);
        EXPECT_THAT(large.message, HasSubstr("is larger than the limit of 100"));
        Response failure;
        failure.status = {Code::cancelled, "a lie"};
        co_await scripted.server.send(encode_response(3, failure));
        const Status mapped = co_await next_end(scripted);
        EXPECT_EQ(mapped, (Status{Code::unknown, "mapped"}));
        co_await scripted.stop();
    }());
}

TEST(ClientTest, ServerThatGoesFailsEveryCall) {
    co_test([]() -> Awaitable<> {
        Scripted scripted(co_await asio::this_coro::executor);
        scripted.call("first");
        scripted.call("second");
        co_await scripted.server.receive();
        co_await scripted.server.receive();
        scripted.server.close();
        const Status closed{Code::unavailable, "ttrpc: closed"};
        const Status first = co_await next_end(scripted);
        EXPECT_EQ(first, closed);
        const Status second = co_await next_end(scripted);
        EXPECT_EQ(second, closed);
        co_await scripted.stop();
    }());
}

TEST(ClientTest, CallsWaitWhileTheServerDoesNotRead) {
    co_test([]() -> Awaitable<> {
        Scripted scripted(co_await asio::this_coro::executor);
        const std::size_t size = 1'000'000;
        const int count = 20; // more than the queue takes
        auto call = [](Client& client, std::string payload) -> Awaitable<> {
            co_await client.call("s", "m", std::move(payload));
        };
        for (int index = 0; index < count; ++index) {
            scripted.tasks.spawn("call", call(scripted.client, std::string(size, 'x')));
        }
        auto late = scripted.client.call(
            "s",
            "late",
            "",
            {.deadline = deadline_in(std::chrono::milliseconds(50)), .metadata = {}}
        );
        const Status status = co_await status_of(std::move(late));
        EXPECT_EQ(status, (Status{Code::deadline_exceeded, "call s/late: timed out"}));
        for (int index = 0; index < count; ++index) {
            const auto frame = co_await scripted.server.receive();
            EXPECT_EQ(frame->header.stream, static_cast<std::uint32_t>(2 * index + 1));
            co_await scripted.server.send(encode_response(frame->header.stream, reply_of("")));
        }
        co_await scripted.stop();
    }());
}

} // namespace

} // namespace cppvm::ttrpc::testing
