#include "common/async/task_group.hpp"
#include "common/async/turn.hpp"
#include "tests/support/co_test.hpp"

#include <boost/asio/post.hpp>

#include <string>

namespace cppvm {
namespace {

Awaitable<> write_twice(Turn& turn, std::string& text, char letter) {
    const Turn::Held held = co_await turn.take();
    text += letter;
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    text += letter;
}

TEST(TurnTest, IsHeldByOneAtATime) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Turn turn(executor);
        std::string text;
        TaskGroup group(executor, Logger());
        for (const char letter : {'a', 'b', 'c'}) {
            group.spawn("writer", write_twice(turn, text, letter));
        }
        co_await group.join();
        EXPECT_EQ(text.size(), 6U);
        for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
            EXPECT_EQ(text[i], text[i + 1]);
        }
    }());
}

TEST(TurnTest, IsNotHeldByACancelledWaiter) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Turn turn(executor);
        std::string text;
        Turn::Held held = co_await turn.take();
        TaskGroup group(executor, Logger());
        group.spawn("writer", write_twice(turn, text, 'a'));
        co_await asio::post(executor, asio::use_awaitable); // let it begin to wait
        co_await group.stop();
        held.reset();
        co_await write_twice(turn, text, 'b');
        EXPECT_EQ(text, "bb");
    }());
}

} // namespace
} // namespace cppvm
