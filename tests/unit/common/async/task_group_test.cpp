#include "common/async/task_group.hpp"
#include "common/base/error.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/failing.hpp"

#include <boost/asio/post.hpp>

#include <stdexcept>

namespace cppvm {
namespace {

struct CapturingSink : LogSink {
    void write(std::string_view line) noexcept override { lines.append(line); }
    std::string lines;
};

Awaitable<> wait_for(Event& event) {
    co_await event.wait();
}

TEST(TaskGroupTest, LogsTheErrorThatEndsATaskUnderItsName) {
    auto sink = std::make_shared<CapturingSink>();
    testing::co_test([](Logger logger) -> Awaitable<> {
        TaskGroup group(co_await asio::this_coro::executor, logger);
        group.spawn("reader", testing::fail());
        co_await group.join();
    }(Logger(sink, LogLevel::info)));
    EXPECT_NE(sink->lines.find("task=reader error=broken"), std::string::npos) << sink->lines;
}

TEST(TaskGroupTest, RefusesNewTasksAfterStop) {
    testing::co_test([]() -> Awaitable<> {
        TaskGroup group(co_await asio::this_coro::executor, Logger());
        co_await group.stop();
        EXPECT_THROW(group.spawn("late", testing::fail()), Error);
    }());
}

TEST(TaskGroupTest, CancelsTasksQuietlyOnStop) {
    auto sink = std::make_shared<CapturingSink>();
    testing::co_test([](Logger logger) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Event never(executor);
        TaskGroup group(executor, logger);
        group.spawn("waiting", wait_for(never));
        group.spawn("not begun", wait_for(never));
        co_await asio::post(executor, asio::use_awaitable);
        co_await group.stop();
        EXPECT_EQ(group.size(), 0U);
    }(Logger(sink, LogLevel::info)));
    EXPECT_EQ(sink->lines, "");
}

Awaitable<> end_when_let(Event& begun, Event& may_end, bool& ended) {
    begun.set();
    co_await may_end.wait_uninterrupted();
    ended = true;
}

Awaitable<> own_a_group(Event& begun, Event& may_end, bool& inner_ended) {
    TaskGroup inner(co_await asio::this_coro::executor, Logger());
    inner.spawn("inner", end_when_let(begun, may_end, inner_ended));
    try {
        Event never(co_await asio::this_coro::executor);
        co_await never.wait();
    } catch (const boost::system::system_error&) { // NOLINT(bugprone-empty-catch): it is to go on
    }
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await inner.stop();
    EXPECT_TRUE(inner_ended);
}

TEST(TaskGroupTest, StopWaitsAlsoInACancelledCoroutine) {
    bool ended = false;
    testing::co_test([](bool& inner_ended) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Event begun(executor);
        Event may_end(executor);
        TaskGroup group(executor, Logger());
        group.spawn("owner", own_a_group(begun, may_end, inner_ended));
        co_await begun.wait();
        group.cancel();
        co_await asio::post(executor, asio::use_awaitable);
        group.cancel(); // a second cancellation does not end the wait either
        may_end.set();
        co_await group.stop();
    }(ended));
    EXPECT_TRUE(ended);
}

TEST(TaskGroupTest, CancelsATaskThatHasNotBegun) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Event never(executor);
        TaskGroup group(executor, Logger());
        group.spawn("not begun", wait_for(never));
        co_await group.stop();
    }());
}

} // namespace
} // namespace cppvm
