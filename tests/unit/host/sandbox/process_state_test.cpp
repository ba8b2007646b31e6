#include "common/async/task_group.hpp"
#include "common/base/error.hpp"
#include "host/sandbox/process_state.hpp"
#include "tests/support/co_test.hpp"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

namespace cppvm::sandbox {
namespace {

class ProcessStateTest : public ::testing::Test {
  protected:
    Exit exit(std::uint32_t status) const { return {.status = status, .at = {}}; }

    template <class Operation>
    static std::string refusal_of(Operation operation, Code code = Code::failed_precondition) {
        try {
            operation();
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), code) << error.message();
            return error.message();
        }
        return "not refused";
    }
    std::string refused_start() {
        return refusal_of([this] { state_.begin_start(); });
    }
    std::string refused_delete() {
        return refusal_of([this] { state_.begin_delete(); });
    }

    asio::io_context loop_;
    ProcessState state_{loop_.get_executor(), ProcessState::Kind::init, "container c1"};
    ProcessState exec_{loop_.get_executor(), ProcessState::Kind::exec, "exec e1 of container c1"};
};

TEST_F(ProcessStateTest, GoesFromCreatedToStopped) {
    EXPECT_TRUE(state_.is<ProcessState::Created>());
    state_.begin_start();
    EXPECT_TRUE(state_.is<ProcessState::Starting>());
    state_.finish_start();
    EXPECT_TRUE(state_.is<ProcessState::Running>());
    EXPECT_FALSE(state_.exit());
    EXPECT_TRUE(state_.stop(exit(3)));
    EXPECT_TRUE(state_.is<ProcessState::Stopped>());
    EXPECT_EQ(state_.exit()->status, 3U);
}

TEST_F(ProcessStateTest, RefusesASecondStartAndSaysWhy) {
    state_.begin_start();
    EXPECT_EQ(refused_start(), "start container c1: it is being started");
    state_.finish_start();
    EXPECT_EQ(refused_start(), "start container c1: it is already running");
    state_.stop(exit(0));
    EXPECT_EQ(refused_start(), "start container c1: it has already exited");
    EXPECT_TRUE(state_.is<ProcessState::Stopped>());
}

TEST_F(ProcessStateTest, RefusesTheStartOfWhatWasKilledBefore) {
    state_.stop(exit(killed_status));
    EXPECT_EQ(refused_start(), "start container c1: it has already exited");
}

TEST_F(ProcessStateTest, CanBeStartedAgainAfterAnAbandonedStart) {
    state_.begin_start();
    state_.abandon_start();
    EXPECT_TRUE(state_.is<ProcessState::Created>());
    state_.begin_start();
    EXPECT_TRUE(state_.is<ProcessState::Starting>());
}

TEST_F(ProcessStateTest, KeepsTheFirstExit) {
    EXPECT_TRUE(state_.stop(exit(1)));
    EXPECT_FALSE(state_.stop(exit(2)));
    EXPECT_EQ(state_.exit()->status, 1U);
}

TEST_F(ProcessStateTest, StaysStoppedWhateverBecomesOfTheStart) {
    state_.begin_start();
    state_.stop(exit(1));
    state_.finish_start();
    EXPECT_TRUE(state_.is<ProcessState::Stopped>());
    state_.abandon_start();
    EXPECT_TRUE(state_.is<ProcessState::Stopped>());
}

TEST_F(ProcessStateTest, IsDeletedOnceItHasStopped) {
    state_.begin_start();
    EXPECT_EQ(refused_delete(), "delete container c1: it is still running");
    state_.finish_start();
    EXPECT_EQ(refused_delete(), "delete container c1: it is still running");
    state_.stop(exit(4));
    state_.begin_delete();
    EXPECT_EQ(state_.exit()->status, 4U);
    EXPECT_EQ(refused_delete(), "delete container c1: it is already being deleted");
    EXPECT_EQ(refused_start(), "start container c1: it is being deleted");
}

TEST_F(ProcessStateTest, IsDeletedWithoutHavingRun) {
    state_.begin_delete();
    EXPECT_TRUE(state_.is<ProcessState::Deleting>());
    EXPECT_FALSE(state_.exit());
    EXPECT_EQ(refused_start(), "start container c1: it is being deleted");
    state_.check_signal(9); // which it gets for that
    EXPECT_TRUE(state_.stop(exit(killed_status)));
    EXPECT_TRUE(state_.is<ProcessState::Deleting>());
    EXPECT_EQ(state_.exit()->status, killed_status);
    EXPECT_FALSE(state_.stop(exit(1)));
}

TEST_F(ProcessStateTest, RefusesSignalsThatDoNotExist) {
    const auto kill = [this](std::uint32_t signal) {
        return refusal_of([&] { state_.check_signal(signal); }, Code::invalid_argument);
    };
    EXPECT_EQ(kill(0), "kill container c1: no such signal 0");
    EXPECT_EQ(kill(65), "kill container c1: no such signal 65");
    state_.check_signal(1);
    state_.check_signal(64);
}

TEST_F(ProcessStateTest, RefusesSignalsWhereThereIsNoProcess) {
    const auto kill_exec = [this] { exec_.check_signal(9); };
    EXPECT_EQ(refusal_of(kill_exec), "kill exec e1 of container c1: process not created");
    exec_.begin_start();
    EXPECT_EQ(refusal_of(kill_exec), "kill exec e1 of container c1: process not created");
    exec_.finish_start();
    kill_exec();
    exec_.stop(exit(0));
    EXPECT_EQ(
        refusal_of(kill_exec, Code::not_found),
        "kill exec e1 of container c1: process already finished: not found"
    );
    state_.check_signal(9); // an init that waits for its start can be killed
    state_.stop(exit(0));
    EXPECT_EQ(
        refusal_of([this] { state_.check_signal(9); }, Code::not_found),
        "kill container c1: process already finished: not found"
    );
}

TEST_F(ProcessStateTest, RefusesOthersBesideItOnceItHasStopped) {
    const auto check = [this] { state_.check_alive("add exec e1"); };
    check();
    state_.begin_start();
    check();
    state_.finish_start();
    check();
    state_.stop(exit(0));
    EXPECT_EQ(refusal_of(check), "add exec e1: container c1 init process is not running");
}

TEST_F(ProcessStateTest, PausesWhatRunsAndNothingElse) {
    const auto pause = [this] { state_.check_pause(); };
    const auto resume = [this] { state_.check_resume(); };
    EXPECT_EQ(refusal_of(pause), "pause container c1: it is not running");
    state_.pause();
    EXPECT_TRUE(state_.is<ProcessState::Created>());
    state_.begin_start();
    state_.finish_start();
    EXPECT_EQ(refusal_of(resume), "resume container c1: it is not paused");
    pause();
    state_.pause();
    EXPECT_TRUE(state_.is<ProcessState::Paused>());
    EXPECT_EQ(refusal_of(pause), "pause container c1: it is already paused");
    EXPECT_EQ(refused_start(), "start container c1: it is paused");
    EXPECT_EQ(refused_delete(), "delete container c1: it is paused");
    EXPECT_EQ(
        refusal_of([this] { state_.check_alive("add exec e1"); }),
        "add exec e1: container c1 is paused"
    );
    state_.check_signal(15);
    state_.resume();
    EXPECT_TRUE(state_.is<ProcessState::Running>());
}

TEST_F(ProcessStateTest, StopsWhilePaused) {
    state_.begin_start();
    state_.finish_start();
    state_.pause();
    EXPECT_TRUE(state_.stop(exit(137)));
    state_.resume();
    EXPECT_TRUE(state_.is<ProcessState::Stopped>());
}

TEST_F(ProcessStateTest, StartsTheKillClockOnce) {
    EXPECT_TRUE(state_.begin_kill());
    EXPECT_FALSE(state_.begin_kill());
}

TEST_F(ProcessStateTest, TellsItsExitToAllWhoWait) {
    testing::co_test([]() -> Awaitable<> {
        const auto executor = co_await asio::this_coro::executor;
        ProcessState state(executor, ProcessState::Kind::init, "container c1");
        TaskGroup waiters(executor, Logger());
        int told = 0;
        const auto wait = [](ProcessState& from, int& count) -> Awaitable<> {
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
        ProcessState state(executor, ProcessState::Kind::init, "container c1");
        co_await state.wait_start_settled();
        for (const bool fails : {true, false}) {
            state.begin_start();
            bool settled = false;
            TaskGroup waiters(executor, Logger());
            waiters.spawn("wait", [](ProcessState& from, bool& done) -> Awaitable<> {
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
