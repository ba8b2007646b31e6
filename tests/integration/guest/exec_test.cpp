#include "tests/integration/guest/agent_test.hpp"

#include <csignal>
#include <unistd.h>

namespace cppvm::testing {
namespace {

class AgentExecTest : public AgentTest {};

TEST_F(AgentExecTest, RunsExecsInTheContainer) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_spec(agent, "c1", {"sleep", "1000"});
        spec["hostname"] = "inside";
        co_await host.create("c1", spec);
        co_await host.start("c1");
        const RunResult result = co_await host.run_exec(
            "c1",
            "e1",
            make_process(
                {"sh",
                 "-c",
                 "hostname; readlink /proc/1/exe; cat; cat /proc/self/cgroup | grep ^0; exit 5"}
            ),
            "input\n"
        );
        EXPECT_EQ(result.output, "inside\n/bin/busybox\ninput\n0::/\n");
        EXPECT_EQ(result.status, 5U);
        co_await host.signal("c1", SIGKILL);
        co_await host.wait("c1");
        co_await host.remove("c1");
    });
}

// As with runc: before the init's program there is all that a program needs.
TEST_F(AgentExecTest, RunsExecsBeforeTheStart) {
    run_test([this](HostSide& host) -> Awaitable<> {
        for (const bool starts : {true, false}) {
            Json spec = make_spec(agent, "c1", {"sleep", "1000"});
            spec["hostname"] = "inside";
            co_await host.create("c1", spec);
            const RunResult result = co_await host.run_exec(
                "c1", "e1", make_process({"sh", "-c", "hostname; cat /proc/self/cgroup | grep ^0"})
            );
            EXPECT_EQ(result.output, "inside\n0::/\n") << result.errors;
            agent::v2::ExecRequest request;
            request.set_container_id("c1");
            request.set_exec_id("e2");
            request.set_process(make_process({"sleep", "1000"}).dump());
            RunningExec beside = co_await host.start_exec(request);
            if (starts) {
                co_await host.start("c1");
            }
            co_await host.signal("c1", SIGKILL);
            const unsigned status = co_await host.wait("c1");
            EXPECT_EQ(status, 137U);
            const unsigned exec_status = co_await beside.wait();
            EXPECT_EQ(exec_status, 137U);
            co_await beside.wait_forgotten();
            co_await host.remove("c1");
        }
    });
}

Awaitable<> exec_once(HostSide& host, std::string id, RunResult& result) {
    result = co_await host.run_exec("c1", id, make_process({"sh", "-c", "echo " + id}));
}

TEST_F(AgentExecTest, RunsTenExecsAtOnce) {
    run_test([this](HostSide& host) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        co_await host.create("c1", make_spec(agent, "c1", {"sleep", "1000"}));
        co_await host.start("c1");
        TaskGroup tasks(executor, Logger(make_fd_sink(STDERR_FILENO), LogLevel::info));
        std::vector<RunResult> results(10);
        for (std::size_t i = 0; i < results.size(); ++i) {
            tasks.spawn("exec", exec_once(host, "e" + std::to_string(i), results[i]));
        }
        co_await tasks.join();
        for (std::size_t i = 0; i < results.size(); ++i) {
            EXPECT_EQ(results[i].output, "e" + std::to_string(i) + "\n");
            EXPECT_EQ(results[i].errors, "");
            EXPECT_EQ(results[i].status, 0U);
        }
        co_await host.signal("c1", SIGKILL);
        co_await host.wait("c1");
        co_await host.remove("c1");
    });
}

TEST_F(AgentExecTest, EndsExecsBeforeInit) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await host.create("c1", make_spec(agent, "c1", {"sleep", "1000"}));
        co_await host.start("c1");
        agent::v2::ExecRequest request;
        request.set_container_id("c1");
        request.set_exec_id("e1");
        request.set_process(make_process({"sleep", "1000"}).dump());
        RunningExec exec = co_await host.start_exec(request);
        const Status duplicate = co_await failure_of(host.start_exec(request));
        EXPECT_EQ(duplicate.code, Code::already_exists);
        const Status running = co_await failure_of(host.remove("c1", "e1"));
        EXPECT_EQ(running.code, Code::failed_precondition);
        co_await host.signal("c1", SIGKILL);
        const unsigned status = co_await host.wait("c1");
        EXPECT_EQ(status, 137U);
        const unsigned exec_status = co_await exec.wait(); // known at once
        EXPECT_EQ(exec_status, 137U);
        co_await exec.wait_forgotten();
        co_await host.remove("c1");
    });
}

} // namespace
} // namespace cppvm::testing
