#include "common/async/blocking.hpp"
#include "common/async/task_group.hpp"
#include "common/base/error.hpp"
#include "tests/support/co_test.hpp"

#include <boost/asio/post.hpp>

#include <memory>
#include <thread>

namespace cppvm {
namespace {

TEST(BlockingPoolTest, RunsOnAnotherThreadAndReturnsToTheLoop) {
    testing::co_test([]() -> Awaitable<> {
        BlockingPool pool;
        const auto loop_thread = std::this_thread::get_id();
        auto get_thread = [] {
            return std::make_unique<std::thread::id>(std::this_thread::get_id());
        };
        auto worker = co_await pool.run(get_thread);
        EXPECT_NE(*worker, loop_thread);
        EXPECT_EQ(std::this_thread::get_id(), loop_thread);
    }());
}

TEST(BlockingPoolTest, PassesExceptionsOn) {
    testing::co_test([]() -> Awaitable<> {
        BlockingPool pool;
        std::string message;
        auto refuse = [] { throw Error(Code::internal, "no"); };
        try {
            co_await pool.run(refuse);
        } catch (const Error& error) {
            message = error.message();
        }
        EXPECT_EQ(message, "no");
    }());
}

Awaitable<> count_on(BlockingPool& pool, int& count) {
    auto increment = [&count] { ++count; };
    co_await pool.run(increment);
}

TEST(BlockingPoolTest, FinishesCallsWhoseCallersAreCancelled) {
    int count = 0;
    testing::co_test([](int& result) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        BlockingPool pool;
        for (int i = 0; i < 500; ++i) { // the cancellation meets the call at various moments
            TaskGroup group(executor, Logger());
            group.spawn("caller", count_on(pool, result));
            co_await asio::post(executor, asio::use_awaitable);
            co_await group.stop();
        }
    }(count));
    EXPECT_EQ(count, 500);
}

} // namespace
} // namespace cppvm
