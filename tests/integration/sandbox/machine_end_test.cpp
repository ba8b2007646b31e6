// A process is dead for containerd when it is dead, and not before: whoever ends it, the machine,
// or the connection between them.

#include "tests/integration/sandbox/sandbox_fixture.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <csignal>

namespace cppvm::sandbox {
namespace {

using ::testing::HasSubstr;

class MachineEndTest : public SandboxTest {
  protected:
    SandboxSpec quick_spec() const {
        SandboxSpec spec = sandbox_spec();
        spec.timeouts.link.reconnect = std::chrono::milliseconds(200);
        spec.timeouts.link.resume = std::chrono::milliseconds(200);
        spec.timeouts.link.pause = std::chrono::milliseconds(5);
        spec.timeouts.kill = std::chrono::milliseconds(200);
        return spec;
    }

    Awaitable<std::shared_ptr<Task>> start_container(Bench& bench) const {
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        auto c1 = bench.sandbox.task("c1");
        co_await c1->start("");
        co_return c1;
    }

    static long count(const Bench& bench, const std::string& line) {
        return std::ranges::count(bench.events.lines, line);
    }
};

TEST_F(MachineEndTest, ALostConnectionIsTheEndOfTheMachineAndThenOfItsProcesses) {
    with_sandbox(quick_spec(), [this](Bench& bench) -> Awaitable<> {
        const auto c1 = co_await start_container(bench);
        c1->add_exec("e1", {}, exec_process);
        co_await c1->start("e1");
        std::vector<std::string> told_before_the_end;
        bench.hypervisor.on_stop = [&]() -> Awaitable<> {
            told_before_the_end = bench.events.lines;
            co_return;
        };
        bench.hypervisor.on_dial = [] { throw Error(Code::unavailable, "nobody listens"); };
        bench.hypervisor.cut_connection();
        const Exit exit = co_await c1->wait("");
        EXPECT_EQ(exit.status, 137U);
        EXPECT_EQ(bench.hypervisor.machines, 0);
        EXPECT_EQ(std::ranges::count(told_before_the_end, "exit e1 137"), 0);
        EXPECT_EQ(count(bench, "exit e1 137"), 1);
        EXPECT_EQ(count(bench, "exit c1 137"), 1);
        const Status create = co_await status_of(bench.sandbox.create(container("c2")));
        EXPECT_EQ(
            create.message,
            "create task c2: the VM of sandbox s1 has been ended: the connection to the guest "
            "agent "
            "is lost: nobody listens; recreate the pod or container"
        );
        co_await bench.sandbox.remove("c1", "");
    });
}

TEST_F(MachineEndTest, AMachineThatIsKilledForMemoryIsReportedAsSuch) {
    SandboxSpec spec = quick_spec();
    std::uint64_t kills = 0;
    spec.memory.kills = [&kills] { return kills; };
    with_sandbox(std::move(spec), [&](Bench& bench) -> Awaitable<> {
        const auto c1 = co_await start_container(bench);
        kills = 1;
        bench.hypervisor.kill_machine();
        const Exit exit = co_await c1->wait("");
        EXPECT_EQ(exit.status, 137U);
        EXPECT_EQ(count(bench, "oom c1"), 1);
        EXPECT_LT(
            std::ranges::find(bench.events.lines, "oom c1"),
            std::ranges::find(bench.events.lines, "exit c1 137")
        );
        const Status create = co_await status_of(bench.sandbox.create(container("c2")));
        EXPECT_THAT(create.message, HasSubstr("killed a process of its cgroup for want of memory"));
        co_await bench.sandbox.remove("c1", "");
    });
}

TEST_F(MachineEndTest, AKilledStandInIsASigkillOfItsProcess) {
    with_sandbox(quick_spec(), [this](Bench& bench) -> Awaitable<> {
        const auto c1 = co_await start_container(bench);
        c1->add_exec("e1", {}, exec_process);
        const pid_t exec_pid = co_await c1->start("e1");
        ::kill(exec_pid, SIGKILL);
        const Exit exec_exit = co_await c1->wait("e1");
        EXPECT_EQ(exec_exit.status, 137U);
        EXPECT_EQ(c1->status("").phase, ProcessStatus::Phase::running);
        c1->add_exec("e2", {}, exec_process);
        co_await c1->start("e2"); // in the network namespace of the first stand-in
        ::kill(c1->status("").pid, SIGTERM);
        const Exit exit = co_await c1->wait("");
        EXPECT_EQ(exit.status, 137U);
        EXPECT_EQ(std::ranges::count(bench.hypervisor.agent.calls, "signal_process"), 2);
        EXPECT_EQ(bench.hypervisor.machines, 1);
    });
}

TEST_F(MachineEndTest, AStopBesideAnotherEndOfTheMachineWaitsForIt) {
    with_sandbox(quick_spec(), [this](Bench& bench) -> Awaitable<> {
        const auto executor = co_await asio::this_coro::executor;
        const auto c1 = co_await start_container(bench);
        Event ending(executor);
        Event release(executor);
        bench.hypervisor.on_stop = [&]() -> Awaitable<> {
            ending.set();
            co_await release.wait();
        };
        bench.hypervisor.agent.on_call = [](const std::string& rpc) {
            return rpc != "signal_process";
        };
        TaskGroup tasks(executor, Logger());
        tasks.spawn("kill", c1->kill("", SIGKILL, true));
        co_await ending.wait();
        bool stopped = false;
        const auto stop = [&]() -> Awaitable<> {
            co_await bench.sandbox.stop();
            stopped = true;
        };
        tasks.spawn("stop", stop());
        for (int turn = 0; turn < 20; ++turn) {
            co_await asio::post(executor, asio::use_awaitable);
        }
        EXPECT_FALSE(stopped);
        release.set();
        co_await tasks.join();
        EXPECT_EQ(bench.hypervisor.machines, 0);
    });
}

} // namespace
} // namespace cppvm::sandbox
