#include "common/async/event.hpp"
#include "common/async/first_of.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/failing.hpp"

namespace cppvm {
namespace {

Awaitable<> at_once() {
    co_return;
}

TEST(FirstOfTest, GivesTheIndexOfTheOneThatEnded) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Event never(executor);
        const std::size_t left = co_await first_of(at_once(), never.wait());
        EXPECT_EQ(left, 0U);
        const std::size_t right = co_await first_of(never.wait(), at_once());
        EXPECT_EQ(right, 1U);
    }());
}

TEST(FirstOfTest, ThrowsWhatTheFirstOneThrew) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Event never(executor);
        try {
            co_await first_of(never.wait(), testing::fail());
            ADD_FAILURE() << "no error";
        } catch (const Error& error) {
            EXPECT_EQ(error.message(), "broken");
        }
    }());
}

TEST(FirstOfTest, CancelsBothWhenCancelled) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Event never(executor);
        auto both = [](Event& event) -> Awaitable<> {
            co_await first_of(event.wait(), event.wait());
        };
        try {
            co_await with_timeout(both(never), deadline_in(std::chrono::milliseconds(10)), "x");
            ADD_FAILURE() << "no error";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::deadline_exceeded);
        }
    }());
}

} // namespace
} // namespace cppvm
