#include "common/async/timeout.hpp"
#include "common/ttrpc/frame.hpp"
#include "tests/support/co_test.hpp"
#include "tests/unit/common/ttrpc/capturing_sink.hpp"
#include "tests/unit/common/ttrpc/link.hpp"

#include <boost/asio/post.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace cppvm::ttrpc::testing {

namespace {

using cppvm::testing::co_test;
using ::testing::HasSubstr;

const Status closed_status{Code::unavailable, "ttrpc: closed"};

/// Runs in a task group: one call whose end the test can see.
struct Observed {
    Status status{Code::internal, "not ended"};
    std::string reply;
    bool ended = false;

    Awaitable<> run(Link& link, std::string method, std::string payload, CallOptions options = {}) {
        try {
            reply = co_await link.call(std::move(method), std::move(payload), std::move(options));
            status = {};
        } catch (...) {
            status = to_status(std::current_exception());
        }
        ended = true;
    }
};

/// Lets other coroutines run until the condition holds: each turn is a round trip.
Awaitable<> until(Link& link, const bool& condition) {
    while (!condition) {
        co_await link.call("Echo", "");
    }
}

TEST(ClientServerTest, AnswersCalls) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        const std::string reply = co_await link.call("Echo", "hello");
        EXPECT_EQ(reply, "hello");
        const std::string empty = co_await link.call("Echo", "");
        EXPECT_EQ(empty, "");
        co_await link.stop();
    }());
}

TEST(ClientServerTest, BlockingCallHoldsUpNobody) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        Observed blocked;
        link.tasks.spawn("blocked", blocked.run(link, "Block", ""));
        co_await link.service.blocked.wait();
        const std::string reply = co_await link.call("Echo", "meanwhile");
        EXPECT_EQ(reply, "meanwhile");
        EXPECT_FALSE(blocked.ended);
        link.service.released.set();
        co_await until(link, blocked.ended);
        EXPECT_EQ(blocked.reply, "released");
        co_await link.stop();
    }());
}

TEST(ClientServerTest, ManyCallsAtOnceGetTheirOwnReplies) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        std::vector<Observed> calls(500);
        for (std::size_t index = 0; index < calls.size(); ++index) {
            link.tasks.spawn("call", calls[index].run(link, "Echo", std::to_string(index)));
        }
        for (std::size_t index = 0; index < calls.size(); ++index) {
            co_await until(link, calls[index].ended);
            EXPECT_EQ(calls[index].reply, std::to_string(index));
        }
        co_await link.stop();
    }());
}

TEST(ClientServerTest, MetadataAndDeadlineReachTheHandler) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        const Deadline deadline = deadline_in(std::chrono::seconds(30));
        co_await link.call(
            "Echo", "", {.deadline = deadline, .metadata = {{"Key", "a"}, {"key", "b"}}}
        );
        EXPECT_EQ(link.service.last_metadata, (Metadata{{"key", "a"}, {"key", "b"}}));
        // The clocks are the same here; what is between is the way.
        EXPECT_GE(link.service.last_deadline, deadline);
        EXPECT_LT(link.service.last_deadline, deadline + std::chrono::seconds(10));
        co_await link.call("Echo", "");
        EXPECT_EQ(link.service.last_deadline, no_deadline);
        co_await link.stop();
    }());
}

TEST(ClientServerTest, DeadlineEndsTheCallOnBothSides) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        const Status status = co_await status_of(link.call(
            "Block", "", {.deadline = deadline_in(std::chrono::milliseconds(20)), .metadata = {}}
        ));
        EXPECT_EQ(status.code, Code::deadline_exceeded);
        EXPECT_THAT(status.message, HasSubstr("test.v1.Echo/Block"));
        co_await link.service.unblocked.wait();
        EXPECT_EQ(link.service.cancelled, 1);
        const std::string reply = co_await link.call("Echo", "still there");
        EXPECT_EQ(reply, "still there");
        co_await link.stop();
    }());
}

TEST(ClientServerTest, PassedDeadlineIsNotSent) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        const Status status = co_await status_of(link.call(
            "Echo", "", {.deadline = deadline_in(std::chrono::seconds(-1)), .metadata = {}}
        ));
        EXPECT_EQ(status, (Status{Code::deadline_exceeded, "call test.v1.Echo/Echo: timed out"}));
        EXPECT_EQ(link.service.calls, 0);
        co_await link.stop();
    }());
}

TEST(ClientServerTest, LateReplyToACancelledCallIsDropped) {
    auto sink = std::make_shared<CapturingSink>();
    co_test([](Logger logger) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Link link(executor, {}, logger);
        TaskGroup caller(executor, logger);
        Observed blocked;
        caller.spawn("blocked", blocked.run(link, "Block", ""));
        co_await link.service.blocked.wait();
        co_await caller.stop();
        EXPECT_EQ(blocked.status.code, Code::cancelled);
        EXPECT_EQ(link.service.blocking, 1); // ttrpc has no way to tell the server
        link.service.released.set();
        const std::string reply = co_await link.call("Echo", "after");
        EXPECT_EQ(reply, "after");
        EXPECT_EQ(link.service.blocking, 0);
        co_await link.stop();
    }(Logger(sink, LogLevel::warn)));
    EXPECT_TRUE(sink->lines.empty()) << sink->lines[0];
}

TEST(ClientServerTest, ErrorsCarryCodeAndText) {
    auto sink = std::make_shared<CapturingSink>();
    co_test([](Logger logger) -> Awaitable<> {
        Link link(co_await asio::this_coro::executor, {}, logger);
        const Status missing = co_await status_of(link.call("FailNotFound", ""));
        EXPECT_EQ(missing, (Status{Code::not_found, "task a: not found"}));
        const Status text = co_await status_of(link.call("FailBadText", ""));
        EXPECT_EQ(
            text, (Status{Code::internal, "bytes \xef\xbf\xbd\xef\xbf\xbd and \xe2\x82\xac"})
        );
        const Status method = co_await status_of(link.call("Nothing", ""));
        EXPECT_EQ(method, (Status{Code::unimplemented, "method Nothing"}));
        const Status service = co_await status_of(link.client->call("no.Such", "Echo", ""));
        EXPECT_EQ(service, (Status{Code::unimplemented, "service no.Such"}));
        co_await link.stop();
    }(Logger(sink, LogLevel::info)));
    EXPECT_TRUE(sink->lines.empty()) << sink->lines[0];
}

TEST(ClientServerTest, UnexpectedExceptionIsUnknownAndLoggedOnce) {
    auto sink = std::make_shared<CapturingSink>();
    co_test([](Logger logger) -> Awaitable<> {
        Link link(co_await asio::this_coro::executor, {}, logger);
        const Status status = co_await status_of(link.call("FailUnknown", ""));
        EXPECT_EQ(status, (Status{Code::unknown, "nobody foresaw this"}));
        co_await link.stop();
    }(Logger(sink, LogLevel::info)));
    ASSERT_EQ(sink->lines.size(), 1U);
    EXPECT_THAT(sink->lines[0], HasSubstr("level=error"));
    EXPECT_THAT(sink->lines[0], HasSubstr("test.v1.Echo/FailUnknown"));
}

TEST(ClientServerTest, CarriesFourMebibytesBothWays) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        // What the envelope adds is a few dozen bytes.
        const std::string payload(max_payload_bytes - 64, 'p');
        const std::string reply = co_await link.call("Echo", payload);
        EXPECT_TRUE(reply == payload);
        co_await link.stop();
    }());
}

TEST(ClientServerTest, WhatIsLargerIsRefusedAndTheConnectionStays) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        const Status request =
            co_await status_of(link.call("Echo", std::string(max_payload_bytes, 'p')));
        EXPECT_EQ(request.code, Code::resource_exhausted);
        EXPECT_THAT(request.message, HasSubstr("request test.v1.Echo/Echo"));
        EXPECT_EQ(link.service.calls, 0);
        const Status reply =
            co_await status_of(link.call("Grow", std::to_string(max_payload_bytes)));
        EXPECT_EQ(reply.code, Code::resource_exhausted);
        EXPECT_THAT(reply.message, HasSubstr("reply of 4194"));
        const std::string after = co_await link.call("Echo", "after");
        EXPECT_EQ(after, "after");
        co_await link.stop();
    }());
}

TEST(ClientServerTest, LostConnectionFailsCallsAndCancelsHandlers) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        Observed first;
        Observed second;
        link.tasks.spawn("first", first.run(link, "Block", ""));
        link.tasks.spawn("second", second.run(link, "Block", ""));
        while (link.service.blocking < 2) {
            co_await link.call("Echo", "");
        }
        co_await link.server.stop();
        EXPECT_EQ(link.service.blocking, 0);
        EXPECT_EQ(link.service.cancelled, 2);
        const Status late = co_await status_of(link.call("Echo", ""));
        EXPECT_EQ(late, closed_status);
        co_await link.stop();
        co_await link.tasks.join();
        EXPECT_EQ(first.status, closed_status);
        EXPECT_EQ(second.status, closed_status);
        EXPECT_TRUE(link.client->is_closed());
    }());
}

TEST(ClientServerTest, ClientThatGoesCancelsItsHandlersOnly) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Link link(executor);
        auto [here, there] = socket_pair(executor);
        Client other(std::move(here), {});
        link.tasks.spawn("other client", other.run());
        link.tasks.spawn("other connection", link.server.serve_connection(std::move(there)));
        Observed mine;
        link.tasks.spawn("mine", mine.run(link, "Block", ""));
        co_await link.service.blocked.wait();
        link.service.blocked.clear();
        TaskGroup callers(executor, {});
        auto block = [](Client& client) -> Awaitable<> {
            const Status status = co_await status_of(client.call("test.v1.Echo", "Block", ""));
            EXPECT_EQ(status, closed_status);
        };
        callers.spawn("block", block(other));
        co_await link.service.blocked.wait();
        EXPECT_EQ(link.server.connections(), 2U);
        co_await other.stop();
        co_await callers.join();
        co_await link.service.unblocked.wait();
        EXPECT_EQ(link.service.cancelled, 1);
        EXPECT_FALSE(mine.ended);
        link.service.released.set();
        co_await until(link, mine.ended);
        EXPECT_EQ(mine.reply, "released");
        EXPECT_EQ(link.server.connections(), 1U);
        co_await link.stop();
    }());
}

TEST(ClientServerTest, StoppedClientRefusesCalls) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        co_await link.client->stop();
        co_await link.client->stop();
        const Status status = co_await status_of(link.call("Echo", ""));
        EXPECT_EQ(status, closed_status);
        const Status stream =
            co_await status_of(link.client->open_stream("test.v1.Echo", "Repeat"));
        EXPECT_EQ(stream, closed_status);
        co_await link.stop();
    }());
}

TEST(ClientServerTest, CancelledRunEndsTheConnection) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Served served(executor);
        auto [here, there] = socket_pair(executor);
        served.tasks.spawn("server", served.server.serve_connection(std::move(there)));
        Client client(std::move(here), {});
        TaskGroup runner(executor, {});
        runner.spawn("client", client.run());
        co_await client.call("test.v1.Echo", "Echo", "");
        co_await runner.stop();
        EXPECT_TRUE(client.is_closed());
        const Status status = co_await status_of(client.call("test.v1.Echo", "Echo", ""));
        EXPECT_EQ(status, closed_status);
        co_await client.stop();
        co_await served.stop();
    }());
}

TEST(ClientServerTest, CallsMadeBeforeRunAreSentByIt) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Served served(executor);
        auto [here, there] = socket_pair(executor);
        Client client(std::move(here), {});
        auto call = [](Client& early) -> Awaitable<> {
            const std::string reply = co_await early.call("test.v1.Echo", "Echo", "early");
            EXPECT_EQ(reply, "early");
        };
        TaskGroup callers(executor, {});
        callers.spawn("call", call(client));
        served.tasks.spawn("server", served.server.serve_connection(std::move(there)));
        served.tasks.spawn("client", client.run());
        co_await callers.join();
        co_await client.stop();
        co_await served.stop();
    }());
}

TEST(ClientServerTest, DoesSomethingAfterTheReplyIsOut) {
    co_test([]() -> Awaitable<> {
        Link link(co_await asio::this_coro::executor);
        const std::string reply = co_await link.call("Tell", "answer first");
        EXPECT_EQ(reply, "answer first");
        co_await until(link, link.service.told);
        co_await link.stop();
    }());
}

} // namespace

} // namespace cppvm::ttrpc::testing
