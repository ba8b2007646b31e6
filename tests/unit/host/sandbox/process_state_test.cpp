#include "common/async/task_group.hpp"
#include "common/base/error.hpp"
#include "host/sandbox/process_state.hpp"
#include "tests/support/co_test.hpp"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace cppvm::sandbox {
namespace {

using State = ProcessState;

class ProcessStateTest : public ::testing::Test {
  protected:
    Exit exit(std::uint32_t status) const { return {.status = status, .at = {}}; }

    std::string refused_start() {
        try {
            state_.begin_start("init of container c1");
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::failed_precondition);
            return error.message();
        }
        return "not refused";
    }

    asio::io_context loop_;
    State state_{loop_.get_executor()};
};

TEST_F(ProcessStateTest, GoesFromCreatedToStopped) {
    EXPECT_TRUE(state_.is<State::Created>());
    state_.begin_start("init");
    EXPECT_TRUE(state_.is<State::Starting>());
    state_.finish_start();
    EXPECT_TRUE(state_.is<State::Running>());
    EXPECT_FALSE(state_.exit());
    EXPECT_TRUE(state_.stop(exit(3)));
    EXPECT_TRUE(state_.is<State::Stopped>());
    EXPECT_EQ(state_.exit()->status, 3U);
}

TEST_F(ProcessStateTest, RefusesASecondStartAndSaysWhy) {
    state_.begin_start("init");
    EXPECT_EQ(refused_start(), "start init of container c1: it is being started");
    state_.finish_start();
    EXPECT_EQ(refused_start(), "start init of container c1: it is already running");
    state_.stop(exit(0));
    EXPECT_EQ(refused_start(), "start init of container c1: it has already exited");
    EXPECT_TRUE(state_.is<State::Stopped>());
}

TEST_F(ProcessStateTest, RefusesTheStartOfWhatWasKilledBefore) {
    state_.stop(exit(killed_status));
    EXPECT_EQ(refused_start(), "start init of container c1: it has already exited");
}

TEST_F(ProcessStateTest, CanBeStartedAgainAfterAnAbandonedStart) {
    state_.begin_start("init");
    state_.abandon_start();
    EXPECT_TRUE(state_.is<State::Created>());
    state_.begin_start("init");
    EXPECT_TRUE(state_.is<State::Starting>());
}

TEST_F(ProcessStateTest, KeepsTheFirstExit) {
    EXPECT_TRUE(state_.stop(exit(1)));
    EXPECT_FALSE(state_.stop(exit(2)));
    EXPECT_EQ(state_.exit()->status, 1U);
}

TEST_F(ProcessStateTest, StaysStoppedWhateverBecomesOfTheStart) {
    state_.begin_start("init");
    state_.stop(exit(1));
    state_.finish_start();
    EXPECT_TRUE(state_.is<State::Stopped>());
    state_.abandon_start();
    EXPECT_TRUE(state_.is<State::Stopped>());
}

TEST_F(ProcessStateTest, TellsItsExitToAllWhoWait) {
    testing::co_test([]() -> Awaitable<> {
        const auto executor = co_await asio::this_coro::executor;
        State state(executor);
        TaskGroup waiters(executor, Logger());
        int told = 0;
        const auto wait = [](State& from, int& count) -> Awaitable<> {
            const Exit found = co_await from.wait();
            EXPECT_EQ(found.status, 7U);
            ++count;
        };
        waiters.spawn("first", wait(state, told));
        waiters.spawn("second", wait(state, told));
        state.stop({.status = 7, .at = {}});
        co_await wait(state, told); // one that comes late
        co_await waiters.join();
        EXPECT_EQ(told, 3);
    }());
}

TEST_F(ProcessStateTest, IsSettledExceptDuringAStart) {
    testing::co_test([]() -> Awaitable<> {
        const auto executor = co_await asio::this_coro::executor;
        State state(executor);
        co_await state.wait_start_settled();
        for (const bool fails : {true, false}) {
            state.begin_start("init");
            bool settled = false;
            TaskGroup waiters(executor, Logger());
            waiters.spawn("wait", [](State& from, bool& done) -> Awaitable<> {
                co_await from.wait_start_settled();
                done = true;
            }(state, settled));
            co_await asio::post(executor, asio::use_awaitable);
            EXPECT_FALSE(settled);
            fails ? state.abandon_start() : state.finish_start();
            co_await state.wait_start_settled();
            co_await asio::post(executor, asio::use_awaitable);
            EXPECT_TRUE(settled);
            co_await waiters.stop();
        }
    }());
}

} // namespace
} // namespace cppvm::sandbox
