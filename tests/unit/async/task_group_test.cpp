#include "common/async/task_group.hpp"
#include "common/base/error.hpp"
#include "tests/support/co_test.hpp"

#include <boost/asio/post.hpp>

#include <stdexcept>

namespace cppvm {
namespace {

struct CapturingSink : LogSink {
    void write(std::string_view line) noexcept override { lines.append(line); }
    std::string lines;
};

Awaitable<> fail() {
    throw std::runtime_error("broken");
    co_return;
}

Awaitable<> wait_for(Event& event) {
    co_await event.wait();
}

TEST(TaskGroupTest, LogsTheErrorThatEndsATaskUnderItsName) {
    auto sink = std::make_shared<CapturingSink>();
    testing::co_test([](Logger logger) -> Awaitable<> {
        TaskGroup group(co_await asio::this_coro::executor, logger);
        group.spawn("reader", fail());
        co_await group.join();
    }(Logger(sink, LogLevel::info)));
    EXPECT_NE(sink->lines.find("task=reader error=broken"), std::string::npos) << sink->lines;
}

TEST(TaskGroupTest, RefusesNewTasksAfterStop) {
    testing::co_test([]() -> Awaitable<> {
        TaskGroup group(co_await asio::this_coro::executor, Logger());
        co_await group.stop();
        EXPECT_THROW(group.spawn("late", fail()), Error);
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
