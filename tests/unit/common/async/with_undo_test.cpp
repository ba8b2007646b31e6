#include "common/async/event.hpp"
#include "common/async/task_group.hpp"
#include "common/async/with_undo.hpp"
#include "common/base/error.hpp"
#include "tests/support/co_test.hpp"

#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cppvm {
namespace {

using testing::co_test;

Awaitable<int> give_number(int value) {
    co_return value;
}

Awaitable<> fail_later() {
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    throw Error(Code::unknown, "it failed");
}

TEST(WithUndoTest, GivesTheResult) {
    co_test([]() -> Awaitable<> {
        bool undone = false;
        const int value = co_await with_undo(give_number(3), [&]() -> Awaitable<> {
            undone = true;
            co_return;
        });
        EXPECT_EQ(value, 3);
        EXPECT_FALSE(undone);
    }());
}

TEST(WithUndoTest, UndoesBeforeItThrows) {
    co_test([]() -> Awaitable<> {
        std::vector<std::string> happened;
        try {
            co_await with_undo(fail_later(), [&]() -> Awaitable<> {
                co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
                happened.emplace_back("undone");
            });
        } catch (const Error& error) {
            happened.push_back(error.message());
        }
        EXPECT_EQ(happened, (std::vector<std::string>{"undone", "it failed"}));
    }());
}

TEST(WithUndoTest, UndoesToTheEndWhenItIsCancelledTwice) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Event never(executor);
        Event undoing(executor);
        Event release(executor);
        bool undone = false;
        bool went_on = false;
        TaskGroup tasks(executor, Logger());
        const auto body = [&]() -> Awaitable<> {
            co_await with_undo(never.wait(), [&]() -> Awaitable<> {
                undoing.set();
                co_await release.wait();
                undone = true;
            });
            went_on = true;
        };
        tasks.spawn("operation", body());
        co_await asio::post(executor, asio::use_awaitable);
        tasks.cancel();
        co_await undoing.wait();
        tasks.cancel();
        for (int turn = 0; turn < 5; ++turn) {
            co_await asio::post(executor, asio::use_awaitable);
        }
        EXPECT_FALSE(undone);
        release.set();
        co_await tasks.join();
        EXPECT_TRUE(undone);
        EXPECT_FALSE(went_on);
    }());
}

} // namespace
} // namespace cppvm
