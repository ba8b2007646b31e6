#include "common/async/blocking.hpp"
#include "common/base/error.hpp"
#include "tests/support/co_test.hpp"

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

} // namespace
} // namespace cppvm
