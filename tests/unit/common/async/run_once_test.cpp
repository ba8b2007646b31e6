#include "common/async/run_once.hpp"
#include "common/async/task_group.hpp"
#include "common/async/timeout.hpp"
#include "tests/support/co_test.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace cppvm {
namespace {

using testing::co_test;

/// Counts its runs, and ends when the test lets it.
struct Slow {
    explicit Slow(const asio::any_io_executor& executor) : begun(executor), release(executor) {}

    Awaitable<> operate() {
        ++runs;
        begun.set();
        co_await release.wait();
        ++ends;
    }

    Event begun;
    Event release;
    int runs = 0;
    int ends = 0;
};

Awaitable<> ask(RunOnce& once, Slow& slow, int& returned) {
    co_await once.run(slow.operate());
    EXPECT_EQ(slow.ends, 1) << "a caller returned before the operation had ended";
    ++returned;
}

TEST(RunOnceTest, EveryCallerWaitsForTheOneRun) {
    co_test([]() -> Awaitable<> {
        const auto executor = co_await asio::this_coro::executor;
        Slow slow(executor);
        RunOnce once(executor);
        TaskGroup tasks(executor, Logger());
        int returned = 0;
        for (int caller = 0; caller < 3; ++caller) {
            tasks.spawn("caller", ask(once, slow, returned));
        }
        co_await slow.begun.wait();
        EXPECT_TRUE(once.has_begun());
        EXPECT_FALSE(once.has_ended());
        slow.release.set();
        co_await tasks.wait_empty();
        EXPECT_EQ(slow.runs, 1);
        EXPECT_EQ(returned, 3);
        EXPECT_TRUE(once.has_ended());
        co_await once.run(slow.operate()); // at once
        EXPECT_EQ(slow.runs, 1);
        co_await tasks.join();
    }());
}

TEST(RunOnceTest, ACancelledCallerLeavesTheOperationRunning) {
    co_test([]() -> Awaitable<> {
        const auto executor = co_await asio::this_coro::executor;
        Slow slow(executor);
        RunOnce once(executor);
        TaskGroup first(executor, Logger());
        int returned = 0;
        first.spawn("caller", ask(once, slow, returned));
        co_await slow.begun.wait();
        first.cancel();
        EXPECT_EQ(slow.ends, 0);
        slow.release.set();
        co_await first.stop();
        EXPECT_EQ(slow.ends, 1);
    }());
}

TEST(RunOnceTest, MayGoWhileCallersWait) {
    co_test([]() -> Awaitable<> {
        const auto executor = co_await asio::this_coro::executor;
        Slow slow(executor);
        auto once = std::make_unique<RunOnce>(executor);
        TaskGroup tasks(executor, Logger());
        int returned = 0;
        tasks.spawn("first", ask(*once, slow, returned));
        tasks.spawn("second", ask(*once, slow, returned));
        co_await slow.begun.wait();
        once.reset();
        slow.release.set();
        co_await tasks.wait_empty();
        EXPECT_EQ(returned, 2);
        co_await tasks.join();
    }());
}

} // namespace
} // namespace cppvm
