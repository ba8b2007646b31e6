#include "common/base/build_id.hpp"
#include "common/wire/ports.hpp"
#include "tests/integration/guest/agent_test.hpp"

#include <csignal>
#include <fstream>
#include <sys/wait.h>

namespace cppvm::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AgentLifeTest : public AgentTest {};

TEST_F(AgentLifeTest, SaysHello) {
    EXPECT_EQ(agent.hello().build_id(), build_id());
    EXPECT_EQ(agent.hello().protocol_version(), wire::protocol_version);
    EXPECT_FALSE(agent.hello().kernel_release().empty());
    EXPECT_GE(agent.hello().phases_size(), 1);
}

TEST(AgentHelloTest, IsSaidAgainWhenTheConnectionIsLost) {
    const AgentProcess agent(3);
    EXPECT_EQ(agent.hello().build_id(), build_id());
}

TEST_F(AgentLifeTest, RunsAProgram) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const RunResult result = co_await host.run(
            "c1", make_script_spec(agent, "c1", "echo out; echo err >&2; echo pid $$; exit 7")
        );
        EXPECT_EQ(result.output, "out\npid 1\n");
        EXPECT_EQ(result.errors, "err\n");
        EXPECT_EQ(result.status, 7U);
        EXPECT_THAT(result.unsupported, ElementsAre());
    });
}

TEST_F(AgentLifeTest, ReportsExitCodes) {
    run_test([this](HostSide& host) -> Awaitable<> {
        for (const unsigned code : {0U, 1U, 42U, 126U, 127U, 128U, 254U, 255U}) {
            const RunResult result = co_await host.run(
                "c1", make_script_spec(agent, "c1", "exit " + std::to_string(code))
            );
            EXPECT_EQ(result.status, code);
        }
    });
}

TEST_F(AgentLifeTest, ReportsSignalsOfInitAndExec) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await host.create("c1", make_spec(agent, "c1", {"sleep", "1000"}));
        co_await host.start("c1");
        const RunResult killed =
            co_await host.run_exec("c1", "e1", make_process({"sh", "-c", "kill -SEGV $$"}));
        EXPECT_EQ(killed.status, 128U + SIGSEGV);
        co_await host.signal("c1", SIGKILL);
        const unsigned status = co_await host.wait("c1");
        EXPECT_EQ(status, 128U + SIGKILL);
        co_await host.remove("c1");
    });
}

TEST_F(AgentLifeTest, DeliversSignalsToInit) {
    run_test([this](HostSide& host) -> Awaitable<> {
        auto [stream_id, stream] = co_await host.open_stream();
        agent::v2::Stdio stdio;
        stdio.set_stdout_stream(stream_id);
        co_await host.create(
            "c1",
            make_script_spec(
                agent, "c1", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done"
            ),
            stdio
        );
        co_await host.start("c1");
        const std::string ready = co_await read_frame(stream);
        EXPECT_EQ(ready, "ready\n");
        co_await host.signal("c1", SIGTERM);
        const unsigned status = co_await host.wait("c1");
        EXPECT_EQ(status, 9U);
        co_await host.remove("c1");
    });
}

TEST_F(AgentLifeTest, KeepsStatusUntilDeleteForAnyNumberOfWaiters) {
    run_test([this](HostSide& host) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        co_await host.create("c1", make_script_spec(agent, "c1", "exit 3"));
        TaskGroup waiters(executor, Logger());
        std::vector<unsigned> seen;
        for (int i = 0; i < 3; ++i) {
            waiters.spawn("waiter", [](HostSide& from, std::vector<unsigned>& to) -> Awaitable<> {
                const unsigned status = co_await from.wait("c1");
                to.push_back(status);
            }(host, seen));
        }
        co_await host.start("c1");
        co_await waiters.join();
        EXPECT_THAT(seen, ElementsAre(3, 3, 3));
        const unsigned again = co_await host.wait("c1");
        EXPECT_EQ(again, 3U);
        co_await host.remove("c1");
        const Status gone = co_await failure_of(host.signal("c1", SIGKILL));
        EXPECT_EQ(gone.code, Code::not_found);
    });
}

TEST_F(AgentLifeTest, KillsAndDeletesWhatWasNeverStarted) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const auto created = co_await host.create("c1", make_spec(agent, "c1", {"sleep", "1000"}));
        EXPECT_GT(created.pid(), 1);
        co_await host.signal("c1", SIGKILL);
        const unsigned status = co_await host.wait("c1");
        EXPECT_EQ(status, 137U);
        const Status late = co_await failure_of(host.start("c1"));
        EXPECT_EQ(late.code, Code::failed_precondition);
        co_await host.remove("c1");
        co_await host.create("c1", make_spec(agent, "c1", {"sleep", "1000"}));
        co_await host.remove("c1"); // without a signal before
    });
}

TEST_F(AgentLifeTest, RefusesWhatDoesNotFitTheState) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const Json spec = make_spec(agent, "c1", {"sleep", "1000"});
        Status status = co_await failure_of(host.start("c1"));
        EXPECT_EQ(status.code, Code::not_found);
        status = co_await failure_of(host.signal("c1", SIGKILL));
        EXPECT_EQ(status.code, Code::not_found);
        status = co_await failure_of(host.remove("c1"));
        EXPECT_EQ(status.code, Code::not_found);
        co_await host.create("c1", spec);
        status = co_await failure_of(host.create("c1", spec));
        EXPECT_EQ(status.code, Code::already_exists);
        co_await host.start("c1");
        status = co_await failure_of(host.start("c1"));
        EXPECT_EQ(status.code, Code::failed_precondition);
        status = co_await failure_of(host.remove("c1"));
        EXPECT_EQ(status.code, Code::failed_precondition);
        status = co_await failure_of(host.signal("c1", 0));
        EXPECT_EQ(status.code, Code::invalid_argument);
        status = co_await failure_of(host.signal("c1", 65));
        EXPECT_EQ(status.code, Code::invalid_argument);
        status = co_await failure_of(host.remove("c1", "nope"));
        EXPECT_EQ(status.code, Code::not_found);
        co_await host.signal("c1", SIGKILL, true);
        co_await host.wait("c1");
        status = co_await failure_of(host.signal("c1", SIGKILL));
        EXPECT_EQ(status.code, Code::not_found);
        EXPECT_THAT(status.message, HasSubstr("process already finished"));
        co_await host.remove("c1");
        status = co_await failure_of(host.remove("c1"));
        EXPECT_EQ(status.code, Code::not_found);
    });
}

TEST_F(AgentLifeTest, RefusesBadIds) {
    run_test([this](HostSide& host) -> Awaitable<> {
        for (const char* id : {"", "..", ".hidden", "a/b", "a b"}) {
            const Status status =
                co_await failure_of(host.create(id, make_spec(agent, "c1", {"true"})));
            EXPECT_EQ(status.code, Code::invalid_argument) << id;
        }
        const Status status =
            co_await failure_of(host.create(std::string(129, 'a'), make_spec(agent, "c1", {"true"}))
            );
        EXPECT_EQ(status.code, Code::invalid_argument);
    });
}

struct MissingProgram {
    std::vector<std::string> args;
    std::string words;
};

TEST_F(AgentLifeTest, NamesAProgramThatCannotBeExecuted) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const auto root = agent.share() / "c1/rootfs";
        std::filesystem::copy_file("/bin/busybox", root / "closed");
        std::filesystem::permissions(root / "closed", std::filesystem::perms::owner_read);
        const std::vector<MissingProgram> programs{
            {{"nope"},
             "exec \"nope\": executable file not found in $PATH: no such file or directory"},
            {{"/nope"}, "exec \"/nope\": no such file or directory"},
            {{"/closed"}, "exec \"/closed\": permission denied"},
            {{"/bin/sh/x"}, "exec \"/bin/sh/x\": not a directory"},
        };
        for (const MissingProgram& program : programs) {
            const Status status =
                co_await failure_of(host.create("c1", make_spec(agent, "c1", program.args)));
            EXPECT_EQ(status.code, Code::failed_precondition);
            EXPECT_THAT(status.message, HasSubstr(program.words));
        }
        co_await host.create("c1", make_spec(agent, "c1", {"sleep", "1000"}));
        co_await host.start("c1");
        for (const MissingProgram& program : programs) {
            const Status status =
                co_await failure_of(host.run_exec("c1", "e1", make_process(program.args)));
            EXPECT_EQ(status.code, Code::failed_precondition);
            EXPECT_THAT(status.message, HasSubstr(program.words));
        }
        co_await host.signal("c1", SIGKILL);
        co_await host.wait("c1");
        co_await host.remove("c1");
    });
}

TEST_F(AgentLifeTest, FailsToStartWhatTheKernelDoesNotExecute) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const auto program = agent.share() / "c1/rootfs/of-no-format";
        std::ofstream(program) << "\x7f";
        std::filesystem::permissions(program, std::filesystem::perms::all);
        co_await host.create("c1", make_spec(agent, "c1", {"/of-no-format"}));
        const Status status = co_await failure_of(host.start("c1"));
        EXPECT_EQ(status.code, Code::failed_precondition);
        EXPECT_THAT(status.message, HasSubstr("exec \"/of-no-format\": exec format error"));
        const unsigned exit_status = co_await host.wait("c1");
        EXPECT_NE(exit_status, 0U);
        co_await host.remove("c1");
    });
}

TEST_F(AgentLifeTest, ListsProcesses) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const auto created =
            co_await host.create("c1", make_script_spec(agent, "c1", "sleep 1000 & wait"));
        co_await host.start("c1");
        agent::v2::ListProcessesRequest request;
        request.set_container_id("c1");
        agent::v2::ListProcessesResponse list;
        // The shell forks in its own time.
        while (list.processes_size() < 2) {
            list = co_await host.rpc().list_processes(request);
        }
        EXPECT_EQ(list.processes_size(), 2);
        int inits = 0;
        for (const auto& process : list.processes()) {
            inits += process.is_init() ? 1 : 0;
            EXPECT_EQ(process.is_init(), process.pid() == created.pid());
        }
        EXPECT_EQ(inits, 1);
        co_await host.signal("c1", SIGKILL, true);
        co_await host.wait("c1");
        co_await host.remove("c1");
    });
}

Json share_pid_namespace(Json spec) {
    auto& namespaces = spec["linux"]["namespaces"];
    namespaces.erase(0);
    return spec;
}

TEST_F(AgentLifeTest, KillsTheRestWhenInitOfASharedPidNamespaceEnds) {
    run_test([this](HostSide& host) -> Awaitable<> {
        auto [stream_id, stream] = co_await host.open_stream();
        agent::v2::Stdio stdio;
        stdio.set_stdout_stream(stream_id);
        const Json spec = share_pid_namespace(make_script_spec(
            agent, "c1", "sleep 1000 & echo ready; cat /proc/self/status >&2; sleep 1000"
        ));
        co_await host.create("c1", spec, stdio);
        co_await host.start("c1");
        const std::string ready = co_await read_frame(stream);
        EXPECT_EQ(ready, "ready\n");
        agent::v2::ExecRequest request;
        request.set_container_id("c1");
        request.set_exec_id("e1");
        request.set_process(make_process({"sleep", "1000"}).dump());
        RunningExec exec = co_await host.start_exec(request);
        co_await host.signal("c1", SIGKILL);
        const unsigned status = co_await host.wait("c1");
        EXPECT_EQ(status, 137U);
        const unsigned exec_status = co_await exec.wait();
        EXPECT_EQ(exec_status, 137U);
        co_await host.remove("c1"); // takes the forgotten background process along
    });
}

TEST_F(AgentLifeTest, SignalsEveryProcess) {
    run_test([this](HostSide& host) -> Awaitable<> {
        auto [stream_id, stream] = co_await host.open_stream();
        agent::v2::Stdio stdio;
        stdio.set_stdout_stream(stream_id);
        co_await host.create(
            "c1",
            make_script_spec(
                agent,
                "c1",
                "(trap 'echo child; exit' USR1; echo ready; while :; do sleep 0.01; done) & "
                "trap : USR1; while ! wait; do :; done; echo end"
            ),
            stdio
        );
        co_await host.start("c1");
        const std::string ready = co_await read_frame(stream);
        EXPECT_EQ(ready, "ready\n");
        co_await host.signal("c1", SIGUSR1, true);
        const std::string rest = co_await read_stream(stream);
        EXPECT_THAT(rest, HasSubstr("child\n"));
        co_await host.wait("c1");
        co_await host.remove("c1");
    });
}

TEST_F(AgentLifeTest, SurvivesAHostThatGoesAway) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await host.create("c1", make_spec(agent, "c1", {"sleep", "1000"}));
        co_await host.start("c1");
        auto executor = co_await asio::this_coro::executor;
        {
            auto second = co_await HostSide::connect(agent);
            TaskGroup tasks(executor, Logger());
            tasks.spawn("wait", [](HostSide& from) -> Awaitable<> {
                const Status status = co_await failure_of(from.wait("c1"));
                EXPECT_EQ(status.code, Code::unavailable);
            }(*second));
            co_await second->rpc().set_clock({});
            co_await second->stop();
            co_await tasks.join();
        }
        co_await host.signal("c1", SIGKILL);
        const unsigned status = co_await host.wait("c1");
        EXPECT_EQ(status, 137U);
        co_await host.remove("c1");
    });
}

TEST(AgentEndTest, EndsInOrderWithContainersRunning) {
    AgentProcess agent;
    agent.make_rootfs("c1");
    co_test([](AgentProcess& of) -> Awaitable<> {
        auto host = co_await HostSide::connect(of);
        co_await host->create("c1", make_spec(of, "c1", {"sleep", "1000"}));
        co_await host->start("c1");
        co_await host->stop();
    }(agent));
    ::kill(agent.pid(), SIGTERM);
    const int status = agent.wait_end();
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_EQ(agent.cgroups(), 0U);
}

} // namespace
} // namespace cppvm::testing
