#include "common/os/process_id.hpp"
#include "common/wire/stream_frame.hpp"
#include "tests/integration/sandbox/sandbox_fixture.hpp"

#include <boost/asio/write.hpp>

#include <csignal>
#include <unistd.h>

namespace cppvm::sandbox {
namespace {

TEST_F(SandboxTest, TakesAContainerFromCreateToDelete) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        const pid_t pid = co_await bench.sandbox.create(container("c1"));
        auto c1 = bench.sandbox.task("c1");
        EXPECT_EQ(c1->status("").phase, ProcessStatus::Phase::created);
        EXPECT_TRUE(find_process(pid));
        const pid_t started = co_await c1->start("");
        EXPECT_EQ(started, pid);
        EXPECT_EQ(c1->status("").phase, ProcessStatus::Phase::running);
        bench.hypervisor.agent.exit_process("c1", "", 3);
        const Exit exit = co_await c1->wait("");
        EXPECT_EQ(exit.status, 3U);
        EXPECT_GT(exit.at.time_since_epoch().count(), 0);
        EXPECT_EQ(find_process(pid), std::nullopt) << "the stand-in must be gone with its process";
        EXPECT_EQ(c1->status("").pid, pid);
        const auto removed = co_await bench.sandbox.remove("c1", "");
        EXPECT_EQ(removed.exit->status, 3U);
        EXPECT_EQ(bench.hypervisor.agent.process_count(), 0U);
        EXPECT_TRUE(bench.sandbox.empty());
        const std::vector<std::string> expected = {
            "create c1", "start c1", "exit c1 3", "delete c1"
        };
        EXPECT_EQ(bench.events.lines, expected);
    });
}

TEST_F(SandboxTest, ReportsExitsOfExecsBeforeThatOfTheInit) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        auto c1 = bench.sandbox.task("c1");
        co_await c1->start("");
        c1->add_exec("e1", {}, exec_process);
        co_await c1->start("e1");
        bench.hypervisor.agent.exit_process("c1", "", 0);
        bench.hypervisor.agent.exit_process("c1", "e1", 137);
        co_await c1->wait("");
        const std::vector<std::string> expected = {
            "create c1", "start c1", "exec-added e1", "exec-started e1", "exit e1 137", "exit c1 0"
        };
        EXPECT_EQ(bench.events.lines, expected);
        const auto exec = co_await bench.sandbox.remove("c1", "e1");
        EXPECT_EQ(exec.exit->status, 137U);
        const Status again = co_await status_of(bench.sandbox.remove("c1", "e1"));
        EXPECT_EQ(again.code, Code::not_found);
    });
}

// The guest forgets an exec whose streams have ended.
TEST_F(SandboxTest, DeletesExecsInTheGuestOnlyWhereTheyHoldSomething) {
    SandboxSpec spec = sandbox_spec();
    spec.timeouts.stream_grace = std::chrono::milliseconds(20);
    with_sandbox(std::move(spec), [this](Bench& bench) -> Awaitable<> {
        auto& agent = bench.hypervisor.agent;
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        auto c1 = bench.sandbox.task("c1");
        co_await c1->start("");
        for (const bool keep : {false, true}) {
            agent.keep_execs = keep;
            agent.calls.clear();
            c1->add_exec("e1", {"", "/dev/null", "", false}, exec_process);
            co_await c1->start("e1");
            const std::uint64_t id = agent.stdio("c1", "e1").stdout_stream();
            StreamSocket output = std::move(bench.hypervisor.streams.at(id));
            if (!keep) {
                const auto end = wire::encode_frame_header(0);
                co_await asio::async_write(output, asio::buffer(end), asio::use_awaitable);
            }
            agent.exit_process("c1", "e1", 3);
            const Exit exit = co_await c1->wait("e1");
            EXPECT_EQ(exit.status, 3U);
            const auto removed = co_await bench.sandbox.remove("c1", "e1");
            EXPECT_EQ(removed.exit->status, 3U);
            co_await until([&] { return !agent.has_process("c1", "e1"); });
            EXPECT_EQ(agent.calls.back(), keep ? "delete_process" : "exec");
        }
    });
}

TEST_F(SandboxTest, PublishesAnImmediateExitAfterTheStart) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        auto& agent = bench.hypervisor.agent;
        agent.on_call = [&agent](const std::string& rpc) {
            if (rpc == "start_container") {
                agent.exit_process("c1", "", 0); // before the answer to start
            }
            return true;
        };
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        auto c1 = bench.sandbox.task("c1");
        co_await c1->start("");
        co_await c1->wait("");
        const std::vector<std::string> expected = {"create c1", "start c1", "exit c1 0"};
        EXPECT_EQ(bench.events.lines, expected);
    });
}

TEST_F(SandboxTest, EndsEveryProcessWhenTheMachineDies) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        auto c1 = bench.sandbox.task("c1");
        co_await c1->start("");
        c1->add_exec("e1", {}, exec_process);
        co_await c1->start("e1");
        bench.hypervisor.kill_machine();
        const Exit exit = co_await c1->wait("");
        EXPECT_EQ(exit.status, 137U);
        EXPECT_EQ(bench.events.lines.at(4), "exit e1 137");
        EXPECT_EQ(bench.events.lines.at(5), "exit c1 137");
        const Status killed = co_await status_of(c1->kill("", SIGKILL, true));
        EXPECT_EQ(killed.code, Code::not_found);
        co_await bench.sandbox.remove("c1", "");
        EXPECT_EQ(bench.events.lines.back(), "delete c1");
    });
}

TEST_F(SandboxTest, DestroysAMachineWhoseAgentDoesNotAnswerSigkill) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.hypervisor.agent.on_call = [](const std::string& rpc) {
            return rpc != "signal_process";
        };
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        auto c1 = bench.sandbox.task("c1");
        co_await c1->start("");
        co_await c1->kill("", SIGKILL, true);
        const Exit exit = co_await c1->wait("");
        EXPECT_EQ(exit.status, 137U);
        EXPECT_EQ(bench.hypervisor.machines, 0);
    });
}

TEST_F(SandboxTest, DeletesAContainerThatWasNeverStarted) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        const auto removed = co_await bench.sandbox.remove("c1", "");
        EXPECT_EQ(removed.exit->status, 137U);
        EXPECT_TRUE(bench.sandbox.empty());
    });
}

TEST_F(SandboxTest, RefusesWhatTheStateDoesNotAllow) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        auto c1 = bench.sandbox.task("c1");
        c1->add_exec("e0", {}, exec_process); // beside an init that waits
        co_await c1->start("e0");
        co_await c1->start("");
        const Status twice = co_await status_of(c1->start(""));
        EXPECT_EQ(twice.code, Code::failed_precondition);
        const Status again = co_await status_of(bench.sandbox.create(container("c1")));
        EXPECT_EQ(again.code, Code::already_exists);
        const Status running = co_await status_of(bench.sandbox.remove("c1", ""));
        EXPECT_EQ(running.code, Code::failed_precondition);
        const Status signal = co_await status_of(c1->kill("", 65, false));
        EXPECT_EQ(signal.code, Code::invalid_argument);
        const Status unknown = co_await status_of(c1->wait("nope"));
        EXPECT_EQ(unknown.code, Code::not_found);
        c1->add_exec("e1", {}, exec_process);
        const Status not_started = co_await status_of(c1->kill("e1", SIGTERM, false));
        EXPECT_EQ(
            not_started,
            (Status{Code::failed_precondition, "kill exec e1 of container c1: process not created"})
        );
        EXPECT_THROW(c1->add_exec("e1", {}, exec_process), Error);
        const Status no_args = co_await status_of([](Task& target) -> Awaitable<> {
            target.add_exec("e2", {}, R"({"cwd": "/", "args": []})");
            co_return;
        }(*c1));
        EXPECT_EQ(no_args.code, Code::invalid_argument) << no_args.message;
        EXPECT_THROW(bench.sandbox.task("c2"), Error);
    });
}

TEST_F(SandboxTest, ListsTheGuestsProcessesAndMakesNone) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        const pid_t pid = co_await bench.sandbox.create(container("c1"));
        auto c1 = bench.sandbox.task("c1");
        co_await c1->start("");
        c1->add_exec("e1", {}, exec_process);
        const pid_t exec_pid = co_await c1->start("e1");
        bench.hypervisor.agent.other_pids = {200, 200, 201};
        const auto first = co_await c1->processes();
        EXPECT_EQ(first.size(), 4U);
        EXPECT_EQ(first.at(0).pid, pid);
        EXPECT_EQ(first.at(1).pid, exec_pid);
        EXPECT_EQ(first.at(1).exec_id, "e1");
        constexpr pid_t beyond_the_hosts = 4 * 1024 * 1024; // PID_MAX_LIMIT
        EXPECT_EQ(first.at(2).pid, beyond_the_hosts + 200);
        EXPECT_EQ(first.at(3).pid, beyond_the_hosts + 201);
        bench.hypervisor.agent.other_pids = {};
        const auto second = co_await c1->processes();
        EXPECT_EQ(second.size(), 2U);
        bench.hypervisor.agent.exit_process("c1", "e1", 0);
        bench.hypervisor.agent.exit_process("c1", "", 0);
        co_await c1->wait("");
        const auto stopped = co_await c1->processes();
        EXPECT_EQ(stopped.size(), 1U);
        EXPECT_EQ(stopped.at(0).pid, pid);
    });
}

TEST_F(SandboxTest, RunsSeveralContainersBesideEachOther) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        co_await bench.sandbox.create(container("c2"));
        co_await bench.sandbox.task("c1")->start("");
        bench.hypervisor.agent.exit_process("c1", "", 0);
        co_await bench.sandbox.task("c1")->wait("");
        co_await bench.sandbox.remove("c1", "");
        EXPECT_FALSE(bench.sandbox.empty());
        EXPECT_EQ(bench.sandbox.task("c2")->status("").phase, ProcessStatus::Phase::created);
    });
}

// As CRI names the namespaces of the pod's sandbox: by the pid of its task.
TEST_F(SandboxTest, TellsTheGuestWhoseNamespacesAreMeant) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        const pid_t pid = co_await bench.sandbox.create(container("c1"));
        const auto config = [](pid_t of) {
            return R"({"ociVersion": "1.0.2", "root": {"path": "rootfs"},
                "process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
                "linux": {"namespaces": [{"type": "mount"}, {"type": "ipc", "path": "/proc/)" +
                   std::to_string(of) + R"(/ns/ipc"}]}})";
        };
        write_config(config(pid));
        co_await bench.sandbox.create(container("c2"));
        EXPECT_NE(bench.hypervisor.agent.created.spec().find("container:c1"), std::string::npos);
        write_config(config(::getpid())); // which stands for nobody
        co_await bench.sandbox.create(container("c3"));
        EXPECT_EQ(bench.hypervisor.agent.created.spec().find("container:"), std::string::npos);
        for (const char* id : {"c3", "c2", "c1"}) {
            co_await bench.sandbox.remove(id, "");
        }
    });
}

TEST_F(SandboxTest, GoesOnAfterASpecOfTwentyMegabytes) {
    const std::string usual = read_file(path("bundle") / "config.json", 1UL << 20);
    with_sandbox(sandbox_spec(), [this, usual](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        write_config(usual + std::string(20'000'000, ' '));
        const Status status = co_await status_of(bench.sandbox.create(container("c1")));
        EXPECT_EQ(status.code, Code::resource_exhausted);
        EXPECT_NE(status.message.find("config.json"), std::string::npos) << status.message;
        write_config(usual);
        co_await bench.sandbox.create(container("c1"));
        co_await bench.sandbox.remove("c1", "");
    });
}

} // namespace
} // namespace cppvm::sandbox
