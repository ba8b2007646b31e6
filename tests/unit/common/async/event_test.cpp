#include "common/async/event.hpp"
#include "common/async/task_group.hpp"
#include "tests/support/co_test.hpp"

#include <boost/asio/post.hpp>

namespace cppvm {
namespace {

Awaitable<> count_when_set(Event& event, int& count) {
    co_await event.wait();
    ++count;
}

TEST(EventTest, WakesEveryWaiterAndStaysSet) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Event event(executor);
        int woken = 0;
        TaskGroup group(executor, Logger());
        group.spawn("a", count_when_set(event, woken));
        group.spawn("b", count_when_set(event, woken));
        event.set();
        co_await group.join();
        co_await event.wait();
        EXPECT_EQ(woken, 2);
    }());
}

TEST(EventTest, StopsWaitingWhenCancelled) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Event event(executor);
        int woken = 0;
        TaskGroup group(executor, Logger());
        group.spawn("a", count_when_set(event, woken));
        co_await asio::post(executor, asio::use_awaitable); // let it begin to wait
        co_await group.stop();
        EXPECT_EQ(woken, 0);
        EXPECT_FALSE(event.is_set());
    }());
}

} // namespace
} // namespace cppvm
