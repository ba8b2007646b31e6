// A sandbox under the Sandbox API, over a fake guest: orders, ends, and what is left after them.

#include "host/sandbox/pod.hpp"
#include "tests/integration/sandbox/sandbox_fixture.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <csignal>

namespace cppvm::sandbox {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

pod::CriPod cri_pod() {
    pod::CriPod made;
    made.spec.sandbox_id = "s1";
    made.spec.awaits_create = true;
    made.spec.hostname = "web-1";
    made.spec.sysctls = {{"net.core.somaxconn", "99"}};
    made.files = {"127.0.0.1\tlocalhost\n", "web-1\n", "nameserver 192.0.2.1\n"};
    return made;
}

/// A sandbox and its pod, which is stopped at the end.
struct PodBench {
    explicit PodBench(Bench& from)
        : bench(from), pod(from.executor,
                           Logger(),
                           from.sandbox,
                           {[this](const pod::PodSpec& spec) { prepared.push_back(spec.hostname); },
                            [this] { machines_when_stopped = bench.hypervisor.machines; }}) {}

    Bench& bench;
    std::vector<std::string> prepared;
    std::optional<int> machines_when_stopped;
    Pod pod;
};

class PodTest : public SandboxTest {
  protected:
    void with_pod(std::function<Awaitable<>(PodBench&)> body) const {
        SandboxSpec spec = sandbox_spec();
        spec.pod.awaits_create = true;
        spec.timeouts.link.reconnect = std::chrono::milliseconds(200);
        spec.timeouts.link.resume = std::chrono::milliseconds(200);
        spec.timeouts.kill = std::chrono::milliseconds(200);
        with_sandbox(std::move(spec), [&body](Bench& bench) -> Awaitable<> {
            PodBench pods(bench);
            std::exception_ptr failure;
            try {
                co_await body(pods);
            } catch (...) {
                failure = std::current_exception();
            }
            co_await pods.pod.stop();
            if (failure) {
                std::rethrow_exception(failure);
            }
        });
    }

    /// A container that runs, in the namespaces of the sandbox as CRI names them.
    Awaitable<std::shared_ptr<Task>> start_container(PodBench& pods, pid_t sandbox) const {
        const std::string ns = "/proc/" + std::to_string(sandbox) + "/ns/";
        write_config(
            R"({"ociVersion": "1.0.2", "root": {"path": "rootfs"},
            "process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
            "linux": {"namespaces": [{"type": "mount"}, {"type": "pid", "path": ")" +
            ns + R"(pid"}, {"type": "ipc", "path": ")" + ns +
            R"(ipc"}, {"type": "uts", "path": ")" + ns + R"(uts"}, {"type": "network", "path": ")" +
            ns + R"(net"}]}})"
        );
        co_await pods.bench.sandbox.create(container("c1"));
        auto task = pods.bench.sandbox.task("c1");
        co_await task->start("");
        co_return task;
    }

    static bool is_alive(pid_t pid) { return ::kill(pid, 0) == 0; }
};

TEST_F(PodTest, BootsWhenItIsCreatedAndNotBefore) {
    with_pod([this](PodBench& pods) -> Awaitable<> {
        const Status early = co_await status_of(pods.bench.sandbox.create(container("c1")));
        EXPECT_EQ(early.code, Code::failed_precondition);
        EXPECT_EQ(pods.bench.hypervisor.machines, 0);
        pods.pod.create(cri_pod());
        EXPECT_THAT(pods.prepared, ElementsAre("web-1"));
        EXPECT_FALSE(pods.pod.is_absent());
        EXPECT_FALSE(pods.pod.status().is_ready);
        const PodStatus started = co_await pods.pod.start();
        EXPECT_TRUE(started.is_ready);
        EXPECT_TRUE(is_alive(started.pid));
        EXPECT_EQ(pods.bench.hypervisor.agent.pod.hostname(), "web-1");
        EXPECT_EQ(pods.bench.hypervisor.agent.pod.sysctls().at("net.core.somaxconn"), "99");
        EXPECT_GT(pods.bench.hypervisor.agent.pod.shm_bytes(), 0U);
        EXPECT_EQ(read_file(path("run/files/hostname"), 100), "web-1\n");
        EXPECT_EQ(pods.pod.status().pid, started.pid);
    });
}

TEST_F(PodTest, RefusesWrongOrders) {
    with_pod([](PodBench& pods) -> Awaitable<> {
        const Status start = co_await status_of(pods.pod.start());
        EXPECT_EQ(start.code, Code::failed_precondition);
        EXPECT_EQ(start.message, "start sandbox s1: it has not been created");
        const Status wait = co_await status_of(pods.pod.wait());
        EXPECT_EQ(wait.code, Code::failed_precondition);
        EXPECT_THROW(static_cast<void>(pods.pod.status()), Error);
        EXPECT_THROW(static_cast<void>(pods.pod.usage()), Error);
        pods.pod.create(cri_pod());
        EXPECT_THROW(pods.pod.create(cri_pod()), Error);
        EXPECT_EQ(pods.prepared.size(), 1U);
        co_await pods.pod.start();
        const Status again = co_await status_of(pods.pod.start());
        EXPECT_EQ(again.message, "start sandbox s1: it is already running");
        EXPECT_EQ(pods.bench.hypervisor.machines, 1);
    });
}

TEST_F(PodTest, StopsAndStaysAnswerable) {
    with_pod([this](PodBench& pods) -> Awaitable<> {
        pods.pod.create(cri_pod());
        const PodStatus started = co_await pods.pod.start();
        const auto task = co_await start_container(pods, started.pid);
        TaskGroup waiting(co_await asio::this_coro::executor, Logger());
        std::vector<std::uint32_t> statuses;
        const auto wait = [&]() -> Awaitable<> {
            const Exit exit = co_await pods.pod.wait();
            statuses.push_back(exit.status);
        };
        waiting.spawn("first", wait());
        waiting.spawn("second", wait());
        waiting.spawn("another stop", pods.pod.stop());
        co_await pods.pod.stop();
        co_await waiting.join();
        EXPECT_THAT(statuses, ElementsAre(0U, 0U));
        EXPECT_EQ(pods.bench.hypervisor.machines, 0);
        EXPECT_EQ(pods.machines_when_stopped, 0);
        EXPECT_FALSE(is_alive(started.pid));
        // A container that ran has ended with it, and can be deleted in order.
        EXPECT_EQ(std::ranges::count(pods.bench.events.lines, "exit c1 137"), 1);
        EXPECT_EQ(task->status("").phase, ProcessStatus::Phase::stopped);
        const Status refused = co_await status_of(pods.bench.sandbox.create(container("c2")));
        EXPECT_EQ(refused.code, Code::failed_precondition);
        co_await pods.bench.sandbox.remove("c1", "");
        EXPECT_EQ(std::ranges::count(pods.bench.events.lines, "delete c1"), 1);
        co_await pods.pod.stop();
        const PodStatus status = pods.pod.status();
        EXPECT_FALSE(status.is_ready);
        EXPECT_EQ(status.pid, started.pid);
        EXPECT_EQ(status.created_at, started.created_at);
        EXPECT_GE(status.exit.value().at, *status.created_at);
        const Exit exit = co_await pods.pod.wait();
        EXPECT_EQ(exit.status, 0U);
        EXPECT_THROW(pods.pod.create(cri_pod()), Error);
    });
}

TEST_F(PodTest, StopsBeforeItIsStartedOrCreated) {
    with_pod([](PodBench& pods) -> Awaitable<> {
        co_await pods.pod.stop();
        EXPECT_THROW(pods.pod.create(cri_pod()), Error);
    });
    with_pod([](PodBench& pods) -> Awaitable<> {
        pods.pod.create(cri_pod());
        co_await pods.pod.stop();
        const Exit exit = co_await pods.pod.wait();
        EXPECT_EQ(exit.status, 0U);
        const Status start = co_await status_of(pods.pod.start());
        EXPECT_EQ(start.message, "start sandbox s1: it has ended");
        EXPECT_EQ(pods.bench.hypervisor.machines, 0);
    });
}

TEST_F(PodTest, AStopOvertakesAStart) {
    with_pod([](PodBench& pods) -> Awaitable<> {
        const auto executor = co_await asio::this_coro::executor;
        pods.bench.hypervisor.agent.on_call = [](const std::string& rpc) {
            return rpc != "configure_pod";
        };
        pods.pod.create(cri_pod());
        Status start;
        TaskGroup tasks(executor, Logger());
        const auto start_it = [&]() -> Awaitable<> {
            start = co_await status_of(pods.pod.start());
        };
        tasks.spawn("start", start_it());
        const auto& calls = pods.bench.hypervisor.agent.calls;
        co_await until([&] { return std::ranges::find(calls, "configure_pod") != calls.end(); });
        co_await pods.pod.stop();
        co_await tasks.join();
        EXPECT_NE(start.code, Code::ok);
        const Exit exit = co_await pods.pod.wait();
        EXPECT_EQ(exit.status, 0U);
    });
}

TEST_F(PodTest, TellsWhyItDoesNotStart) {
    with_pod([](PodBench& pods) -> Awaitable<> {
        pods.bench.hypervisor.agent.on_call = [](const std::string& rpc) {
            if (rpc == "configure_pod") {
                throw Error(Code::invalid_argument, "linux.sysctl.x: belongs to no namespace");
            }
            return true;
        };
        pods.pod.create(cri_pod());
        const Status start = co_await status_of(pods.pod.start());
        EXPECT_THAT(start.message, HasSubstr("start sandbox s1: boot sandbox s1: "));
        EXPECT_THAT(start.message, HasSubstr("linux.sysctl.x"));
        const Exit exit = co_await pods.pod.wait();
        EXPECT_EQ(exit.status, 137U);
        EXPECT_FALSE(pods.pod.status().is_ready);
        EXPECT_EQ(pods.bench.hypervisor.machines, 0);
    });
}

TEST_F(PodTest, TellsAlsoLaterWhyItDidNotBoot) {
    with_pod([](PodBench& pods) -> Awaitable<> {
        pods.bench.hypervisor.agent.on_call = [](const std::string& rpc) -> bool {
            throw Error(Code::internal, "no " + rpc);
        };
        pods.pod.create(cri_pod());
        co_await pods.pod.wait();
        const Status start = co_await status_of(pods.pod.start());
        EXPECT_THAT(start.message, HasSubstr("start sandbox s1: boot sandbox s1: "));
        EXPECT_THAT(start.message, HasSubstr("no configure_pod"));
        const Status again = co_await status_of(pods.pod.start());
        EXPECT_EQ(again.message, start.message);
    });
}

TEST_F(PodTest, EndsWithItsMachine) {
    with_pod([this](PodBench& pods) -> Awaitable<> {
        pods.pod.create(cri_pod());
        const PodStatus started = co_await pods.pod.start();
        const auto task = co_await start_container(pods, started.pid);
        pods.bench.hypervisor.kill_machine();
        const Exit exit = co_await pods.pod.wait();
        EXPECT_EQ(exit.status, 137U);
        const Exit of_the_task = co_await task->wait("");
        EXPECT_EQ(of_the_task.status, 137U);
        EXPECT_FALSE(pods.pod.status().is_ready);
        EXPECT_FALSE(is_alive(started.pid));
        const Status refused = co_await status_of(pods.bench.sandbox.create(container("c2")));
        EXPECT_EQ(refused.code, Code::unavailable);
        const Status start = co_await status_of(pods.pod.start());
        EXPECT_THAT(start.message, HasSubstr("it ended by itself"));
        co_await pods.bench.sandbox.remove("c1", "");
    });
}

TEST_F(PodTest, EndsWithItsStandIn) {
    with_pod([](PodBench& pods) -> Awaitable<> {
        pods.pod.create(cri_pod());
        const PodStatus started = co_await pods.pod.start();
        ::kill(started.pid, SIGKILL);
        const Exit exit = co_await pods.pod.wait();
        EXPECT_EQ(exit.status, 137U);
        EXPECT_EQ(pods.bench.hypervisor.machines, 0);
    });
}

TEST_F(PodTest, GivesContainersItsNamespacesAndFiles) {
    with_pod([this](PodBench& pods) -> Awaitable<> {
        pods.pod.create(cri_pod());
        const PodStatus started = co_await pods.pod.start();
        co_await start_container(pods, started.pid);
        const std::string& spec = pods.bench.hypervisor.agent.created.spec();
        EXPECT_THAT(spec, HasSubstr(R"("path":"pod")"));
        for (const char* place : {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/dev/shm"}) {
            EXPECT_THAT(spec, HasSubstr(place));
        }
        co_await pods.bench.sandbox.task("c1")->kill("", SIGKILL, true);
        co_await pods.bench.sandbox.task("c1")->wait("");
        co_await pods.bench.sandbox.remove("c1", "");
        EXPECT_TRUE(pods.pod.status().is_ready); // the sandbox goes on without containers
    });
}

TEST_F(PodTest, LeavesNothingWhereItsFilesCannotBeWritten) {
    with_pod([this](PodBench& pods) -> Awaitable<> {
        write_file_atomically(path("run/files"), "in the way", 0600);
        EXPECT_THROW(pods.pod.create(cri_pod()), Error);
        EXPECT_TRUE(pods.pod.is_absent());
        EXPECT_TRUE(pods.prepared.empty());
        std::filesystem::remove(path("run/files"));
        pods.pod.create(cri_pod());
        co_await pods.pod.start();
    });
}

} // namespace
} // namespace cppvm::sandbox
