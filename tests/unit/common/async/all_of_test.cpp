#include "common/async/all_of.hpp"
#include "common/async/event.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/failing.hpp"

namespace cppvm {
namespace {

TEST(AllOfTest, RunsOperationsBesideEachOther) {
    testing::co_test([]() -> Awaitable<> {
        co_await all_of({});
        auto executor = co_await asio::this_coro::executor;
        Event first(executor);
        Event second(executor);
        const auto set_and_wait = [](Event& mine, Event& other) -> Awaitable<> {
            mine.set();
            co_await other.wait();
        };
        std::vector<Awaitable<>> operations;
        operations.push_back(set_and_wait(first, second));
        operations.push_back(set_and_wait(second, first));
        co_await all_of(std::move(operations));
    }());
}

TEST(AllOfTest, ThrowsTheFirstFailureAndCancelsTheOthers) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Event never(executor);
        std::vector<Awaitable<>> operations;
        operations.push_back(never.wait());
        operations.push_back(testing::fail());
        try {
            co_await all_of(std::move(operations));
            ADD_FAILURE() << "no error";
        } catch (const Error& error) {
            EXPECT_EQ(error.message(), "broken");
        }
    }());
}

TEST(AllOfTest, CancelsAllWhenCancelled) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Event never(executor);
        auto both = [](Event& event) -> Awaitable<> {
            std::vector<Awaitable<>> operations;
            operations.push_back(event.wait());
            operations.push_back(event.wait());
            co_await all_of(std::move(operations));
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
