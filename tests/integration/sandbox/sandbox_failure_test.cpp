// Create fails at every step, and leaves nothing.

#include "tests/integration/sandbox/sandbox_fixture.hpp"

namespace cppvm::sandbox {
namespace {

/// One way in which a create can fail, and what the error must name.
struct Failure {
    const char* name;
    std::function<void(Bench&)> arrange;
    std::string message;
};

class SandboxFailureTest : public SandboxTest {
  protected:
    /// Runs create in a sandbox that `arrange` has spoilt.
    void expect_clean_failure(
        const std::function<void(Bench&)>& arrange,
        const TaskSpec& spec,
        const std::string& expected
    ) {
        with_sandbox(sandbox_spec(), [&](Bench& bench) -> Awaitable<> {
            arrange(bench);
            bench.sandbox.boot();
            const Status status = co_await status_of(bench.sandbox.create(spec));
            EXPECT_NE(status.code, Code::ok);
            EXPECT_NE(status.code, Code::not_found) << "containerd takes that for already gone";
            EXPECT_NE(status.message.find(expected), std::string::npos) << status.message;
            EXPECT_TRUE(bench.sandbox.empty());
            EXPECT_TRUE(bench.events.lines.empty());
            EXPECT_EQ(bench.hypervisor.agent.process_count(), 0U);
            EXPECT_TRUE(bench.hypervisor.roots_are_empty());
        });
    }
};

TEST_F(SandboxFailureTest, LeavesNothingWhenTheGuestFailsAtAnyStep) {
    const std::vector<Failure> failures = {
        {"machine",
         [](Bench& b) { b.hypervisor.on_start = [] { throw Error(Code::unknown, "no KVM"); }; },
         "create task c1: boot sandbox s1: no KVM"},
        {"hello",
         [](Bench& b) { b.hypervisor.on_hello = [] { throw Error(Code::unknown, "panic"); }; },
         "create task c1: boot sandbox s1: panic"},
        {"protocol version",
         [](Bench& b) { b.hypervisor.protocol_version = 1; },
         "speaks protocol version 1, this shim version " + std::to_string(wire::protocol_version) +
             ": rebuild the image with `cppvm image build`"},
        {"rpc connection",
         [](Bench& b) { b.hypervisor.on_dial = [] { throw Error(Code::unavailable, "reset"); }; },
         "boot sandbox s1: reset"},
        {"create",
         [](Bench& b) {
             b.hypervisor.agent.on_call = [](const std::string& rpc) -> bool {
                 if (rpc == "create_container") {
                     throw Error(Code::invalid_argument, "mount /x: refused");
                 }
                 return true;
             };
         },
         "create task c1: mount /x: refused"},
    };
    for (const auto& failure : failures) {
        SCOPED_TRACE(failure.name);
        expect_clean_failure(failure.arrange, container("c1"), failure.message);
    }
}

TEST_F(SandboxFailureTest, LeavesNothingWhenTheHostFailsAtAnyStep) {
    const auto nothing = [](Bench&) {};
    auto spec = container("c1");
    spec.rootfs.push_back({"nosuchfs", "none", "", {}});
    expect_clean_failure(nothing, spec, "nosuchfs");

    spec = container("c1");
    spec.stdio.stdout_uri = path("missing-fifo");
    expect_clean_failure(nothing, spec, "missing-fifo");

    spec = container("c1");
    spec.stdio.stdin_uri = fifo("stdin");
    spec.stdio.stdout_uri = fifo("stdout");
    const auto refuse_streams = [](Bench& bench) {
        bench.hypervisor.on_dial = [dials = 0]() mutable {
            if (++dials == 3) { // RPC and stdin are open, stdout fails
                throw Error(Code::unavailable, "stream refused");
            }
        };
    };
    expect_clean_failure(refuse_streams, spec, "stream refused");

    write_config("{");
    expect_clean_failure(nothing, container("c1"), "config.json");
    write_config(R"({"ociVersion": "9.0.0"})");
    expect_clean_failure(nothing, container("c1"), "9.0.0");
    std::filesystem::remove(path("bundle/config.json"));
    expect_clean_failure(nothing, container("c1"), "config.json");
}

TEST_F(SandboxFailureTest, TakesAnImageOfAnotherBuild) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.hypervisor.build_id = "0.0.0-other";
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        co_await bench.sandbox.task("c1")->start("");
    });
}

TEST_F(SandboxFailureTest, KeepsTheContainerDeletableAfterAFailedStart) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.hypervisor.agent.on_call = [](const std::string& rpc) -> bool {
            if (rpc == "start_container") {
                throw Error(Code::unknown, "refused");
            }
            return true;
        };
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        auto c1 = bench.sandbox.task("c1");
        const Status status = co_await status_of(c1->start(""));
        EXPECT_NE(status.message.find("no such file or directory"), std::string::npos);
        const Exit exit = co_await c1->wait("");
        EXPECT_EQ(exit.status, 127U);
        const auto removed = co_await bench.sandbox.remove("c1", "");
        EXPECT_EQ(removed.exit->status, 127U);
    });
}

TEST_F(SandboxFailureTest, KeepsTheTaskUsableAfterAFailedExec) {
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.hypervisor.agent.on_call = [](const std::string& rpc) -> bool {
            if (rpc == "exec") {
                throw Error(Code::failed_precondition, "exec \"x\": no such file or directory");
            }
            return true;
        };
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        auto c1 = bench.sandbox.task("c1");
        co_await c1->start("");
        c1->add_exec("e1", {}, R"({"args": ["x"], "cwd": "/"})");
        const Status status = co_await status_of(c1->start("e1"));
        EXPECT_EQ(status.code, Code::failed_precondition);
        const Exit exit = co_await c1->wait("e1");
        EXPECT_EQ(exit.status, 255U);
        co_await bench.sandbox.remove("c1", "e1");
        bench.hypervisor.agent.on_call = [](const std::string&) { return true; };
        c1->add_exec("e1", {}, R"({"args": ["x"], "cwd": "/"})");
        co_await c1->start("e1");
        EXPECT_EQ(c1->status("e1").phase, ProcessStatus::Phase::running);
    });
}

TEST_F(SandboxFailureTest, StopsWhileTheGuestIsStillBooting) {
    with_sandbox(sandbox_spec(), [](Bench& bench) -> Awaitable<> {
        bench.sandbox.boot();
        co_await until([&] { return bench.hypervisor.machines == 1; });
        co_await bench.sandbox.stop();
        EXPECT_EQ(bench.hypervisor.machines, 0);
    });
}

} // namespace
} // namespace cppvm::sandbox
