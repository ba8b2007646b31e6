#include "common/async/event.hpp"
#include "common/async/task_group.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/failing.hpp"

#include <boost/asio/post.hpp>

#include <memory>
#include <stdexcept>

namespace cppvm {
namespace {

Awaitable<std::unique_ptr<int>> give(int value) {
    co_return std::make_unique<int>(value);
}

Awaitable<int> wait_and_give(Event& event) {
    co_await event.wait();
    co_return 7;
}

Awaitable<> wait_bounded(Event& event, Status& outcome) {
    try {
        co_await with_timeout(event.wait(), deadline_in(std::chrono::hours(1)), "wait");
    } catch (...) {
        outcome = to_status(std::current_exception());
    }
}

Awaitable<> clean_up(Event& begun, Event& may_end, bool& ended) {
    begun.set();
    co_await may_end.wait();
    ended = true;
}

Awaitable<> clean_up_shielded(Event& begun, Event& may_end, bool& ended) {
    co_await shielded(
        clean_up(begun, may_end, ended), deadline_in(std::chrono::seconds(10)), "clean up"
    );
}

TEST(TimeoutTest, GivesTheResultOfAnOperationThatIsInTime) {
    testing::co_test([]() -> Awaitable<> {
        auto value = co_await with_timeout(give(5), deadline_in(std::chrono::seconds(10)), "give");
        EXPECT_EQ(*value, 5);
    }());
}

TEST(TimeoutTest, NamesTheOperationThatTimedOut) {
    testing::co_test([]() -> Awaitable<> {
        Event never(co_await asio::this_coro::executor);
        Status status;
        try {
            co_await with_timeout(
                wait_and_give(never), deadline_in(std::chrono::milliseconds(1)), "wait for hello"
            );
        } catch (...) {
            status = to_status(std::current_exception());
        }
        EXPECT_EQ(status, (Status{Code::deadline_exceeded, "wait for hello: timed out"}));
    }());
}

TEST(TimeoutTest, PassesFailuresOn) {
    testing::co_test([]() -> Awaitable<> {
        Status status;
        try {
            co_await with_timeout(testing::fail(), deadline_in(std::chrono::seconds(10)), "fail");
        } catch (...) {
            status = to_status(std::current_exception());
        }
        EXPECT_EQ(status, (Status{Code::unknown, "broken"}));
    }());
}

TEST(TimeoutTest, ReportsAnAbortFromOutsideAsAnAbort) {
    Status outcome;
    testing::co_test([](Status& result) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Event never(executor);
        TaskGroup group(executor, Logger());
        group.spawn("bounded", wait_bounded(never, result));
        co_await asio::post(executor, asio::use_awaitable);
        co_await group.stop();
    }(outcome));
    EXPECT_EQ(outcome.code, Code::cancelled);
}

TEST(EndsByTest, TellsAnEndFromATimeout) {
    testing::co_test([]() -> Awaitable<> {
        Event never(co_await asio::this_coro::executor);
        EXPECT_TRUE(co_await ends_by(give(5), deadline_in(std::chrono::seconds(10))));
        EXPECT_FALSE(
            co_await ends_by(wait_and_give(never), deadline_in(std::chrono::milliseconds(1)))
        );
        Status status;
        try {
            co_await ends_by(testing::fail(), deadline_in(std::chrono::seconds(10)));
        } catch (...) {
            status = to_status(std::current_exception());
        }
        EXPECT_EQ(status, (Status{Code::unknown, "broken"}));
    }());
}

TEST(ShieldedTest, RunsToItsEndAlthoughTheCallerIsCancelled) {
    bool ended = false;
    testing::co_test([](bool& done) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Event begun(executor);
        Event may_end(executor);
        TaskGroup group(executor, Logger());
        group.spawn("clean-up", clean_up_shielded(begun, may_end, done));
        co_await begun.wait();
        group.cancel();
        may_end.set();
        co_await group.stop();
    }(ended));
    EXPECT_TRUE(ended);
}

} // namespace
} // namespace cppvm
