// Pause, Resume, Update, Stats, and kills for memory.

#include "tests/integration/sandbox/sandbox_fixture.hpp"

#include <gmock/gmock.h>

#include <csignal>

namespace cppvm::sandbox {
namespace {

using Phase = ProcessStatus::Phase;

class TaskLimitsTest : public SandboxTest {
  protected:
    Awaitable<std::shared_ptr<Task>> running(Bench& bench) {
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        auto task = bench.sandbox.task("c1");
        co_await task->start("");
        bench.events.lines.clear();
        co_return task;
    }
};

TEST_F(TaskLimitsTest, PausesAndResumes) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        const auto c1 = co_await running(bench);
        co_await c1->pause();
        EXPECT_EQ(c1->status("").phase, Phase::paused);
        EXPECT_THROW(c1->add_exec("e1", {}, exec_process), Error);
        const Status again = co_await status_of(c1->pause());
        EXPECT_EQ(again.message, "pause container c1: it is already paused");
        co_await c1->resume();
        EXPECT_EQ(c1->status("").phase, Phase::running);
        const std::vector<std::string> expected = {"pause c1", "resume c1"};
        EXPECT_EQ(bench.events.lines, expected);
    });
}

TEST_F(TaskLimitsTest, KillsWhatIsPaused) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        const auto c1 = co_await running(bench);
        co_await c1->pause();
        co_await c1->kill("", SIGKILL, false);
        const Exit exit = co_await c1->wait("");
        EXPECT_EQ(exit.status, 137U);
        const Status late = co_await status_of(c1->resume());
        EXPECT_EQ(late.message, "resume container c1: it is not paused");
        co_await bench.sandbox.remove("c1", "");
    });
}

TEST_F(TaskLimitsTest, StaysRunningWhereTheGuestDoesNotPause) {
    SandboxSpec spec = sandbox_spec();
    spec.timeouts.freeze = std::chrono::milliseconds(50);
    with_sandbox(std::move(spec), [this](Bench& bench) -> Awaitable<> {
        const auto c1 = co_await running(bench);
        bench.hypervisor.agent.on_call = [](const std::string& rpc) { return rpc != "freeze"; };
        const Status silent = co_await status_of(c1->pause());
        EXPECT_EQ(silent.code, Code::deadline_exceeded);
        EXPECT_EQ(
            silent.message, "pause container c1: call cppvm.agent.v2.Agent/Freeze: timed out"
        );
        EXPECT_EQ(c1->status("").phase, Phase::running);
        EXPECT_TRUE(bench.events.lines.empty());
    });
}

TEST_F(TaskLimitsTest, UpdatesLimitsWithoutThoseOfTheHost) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        const auto c1 = co_await running(bench);
        co_await c1->update(R"({"memory":{"limit":1048576},"cpu":{"cpus":"3"}})");
        EXPECT_EQ(bench.hypervisor.agent.resources, R"({"memory":{"limit":1048576}})");
        const Status wrong = co_await status_of(c1->update(R"({"memory":{"limit":"much"}})"));
        EXPECT_EQ(
            wrong.message, "update container c1: linux.resources.memory.limit: must be an integer"
        );
        bench.hypervisor.agent.exit_process("c1", "", 0);
        co_await c1->wait("");
        const Status late = co_await status_of(c1->update("{}"));
        EXPECT_EQ(late.code, Code::failed_precondition);
    });
}

TEST_F(TaskLimitsTest, RefusesMoreMemoryThanTheMachineHas) {
    SandboxSpec spec = sandbox_spec();
    spec.pod.limits.memory_bytes = 256L << 20;
    with_sandbox(std::move(spec), [this](Bench& bench) -> Awaitable<> {
        const auto c1 = co_await running(bench);
        EXPECT_EQ(bench.hypervisor.spec.memory_mib, 256U + 96 + 4);
        const Status more = co_await status_of(c1->update(R"({"memory":{"limit":1073741824}})"));
        EXPECT_EQ(more.code, Code::failed_precondition);
        EXPECT_EQ(
            more.message,
            "update container c1: linux.resources.memory.limit is more than the 356 "
            "MiB of its machine, which cannot grow: recreate it with the limit that it needs"
        );
        EXPECT_EQ(bench.hypervisor.agent.resources, "");
        co_await c1->update(R"({"memory":{"limit":268435456}})");
        co_await c1->update(R"({"memory":{"limit":-1}})");
    });
}

TEST_F(TaskLimitsTest, DoesNotBootAMachineThatIsTooSmall) {
    SandboxSpec spec = sandbox_spec();
    spec.config.vm.memory_mib = 64;
    with_sandbox(std::move(spec), [this](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        const Status small = co_await status_of(bench.sandbox.create(container("c1")));
        EXPECT_THAT(small.message, ::testing::HasSubstr("its guest alone needs 96 MiB"));
        EXPECT_TRUE(bench.hypervisor.spec.name.empty());
    });
}

TEST_F(TaskLimitsTest, ReadsStatistics) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        const auto c1 = co_await running(bench);
        const auto stats = co_await c1->stats();
        EXPECT_EQ(stats.values().at("pids.current"), 7U);
    });
}

TEST_F(TaskLimitsTest, TellsOfKillsForMemoryBeforeTheExitAndNotOfAFlood) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        const auto c1 = co_await running(bench);
        for (int count = 0; count < 1000; ++count) {
            agent::v2::Event event;
            event.mutable_out_of_memory()->set_container_id(count % 2 == 0 ? "c1" : "another");
            bench.hypervisor.agent.tell(std::move(event));
        }
        bench.hypervisor.agent.exit_process("c1", "", 137);
        co_await c1->wait("");
        const std::vector<std::string> expected = {"oom c1", "exit c1 137"};
        EXPECT_EQ(bench.events.lines, expected);
    });
}

} // namespace
} // namespace cppvm::sandbox
