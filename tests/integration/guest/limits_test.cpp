#include "tests/integration/guest/agent_test.hpp"

#include <csignal>

namespace cppvm::testing {
namespace {

using ::testing::HasSubstr;

class AgentLimitsTest : public AgentTest {
  protected:
    Awaitable<> start_sleeper(HostSide& host) {
        co_await host.create("c1", make_spec(agent, "c1", {"sleep", "1000"}));
        co_await host.start("c1");
    }

    static Awaitable<> end(HostSide& host) {
        co_await host.signal("c1", SIGKILL);
        const unsigned status = co_await host.wait("c1");
        EXPECT_EQ(status, 137U);
        co_await host.remove("c1");
    }

    static Awaitable<> freeze(HostSide& host, bool frozen) {
        agent::v2::FreezeRequest request;
        request.set_container_id("c1");
        request.set_frozen(frozen);
        co_await host.rpc().freeze(request);
    }
};

TEST_F(AgentLimitsTest, FreezesAndThaws) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await start_sleeper(host);
        co_await freeze(host, true);
        co_await freeze(host, true); // as when the host has not heard the first answer
        const Status refused =
            co_await failure_of(host.run_exec("c1", "e1", make_process({"true"})));
        EXPECT_EQ(refused.code, Code::failed_precondition);
        EXPECT_EQ(refused.message, "exec e1: container c1 is paused");
        co_await freeze(host, false);
        const RunResult result = co_await host.run_exec("c1", "e2", make_process({"echo", "on"}));
        EXPECT_EQ(result.output, "on\n");
        co_await end(host);
    });
}

TEST_F(AgentLimitsTest, KillsWhatIsFrozen) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await start_sleeper(host);
        co_await freeze(host, true);
        co_await end(host);
    });
}

TEST_F(AgentLimitsTest, FreezesOnlyWhatRuns) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const Status unknown = co_await failure_of(freeze(host, true));
        EXPECT_EQ(unknown.code, Code::not_found);
        co_await host.create("c1", make_spec(agent, "c1", {"sleep", "1000"}));
        const Status early = co_await failure_of(freeze(host, true));
        EXPECT_EQ(early.code, Code::failed_precondition);
        co_await host.remove("c1");
    });
}

// This machine's tree of version 2 may have no controllers; the numbers of the core are always
// there.
TEST_F(AgentLimitsTest, TellsWhatAContainerUses) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await host.create("c1", make_spec(agent, "c1", {"sleep", "1000"}));
        agent::v2::StatsRequest request;
        request.set_container_id("c1");
        const auto created = co_await host.rpc().stats(request);
        EXPECT_TRUE(created.values().contains("cpu.stat.usage_usec"));
        co_await host.start("c1");
        const auto running = co_await host.rpc().stats(request);
        EXPECT_GT(running.values().at("cpu.stat.usage_usec"), 0U);
        co_await end(host);
    });
}

TEST_F(AgentLimitsTest, SaysWhatIsWrongWithAnUpdate) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await start_sleeper(host);
        agent::v2::UpdateContainerRequest request;
        request.set_container_id("c1");
        request.set_resources(R"({"pids":{"limit":"x"}})");
        const Status malformed = co_await failure_of(host.rpc().update_container(request));
        EXPECT_EQ(malformed.message, "linux.resources.pids.limit: must be an integer");
        request.set_resources(R"({"unified":{"nosuch.max":"1"}})");
        const Status missing = co_await failure_of(host.rpc().update_container(request));
        EXPECT_THAT(missing.message, HasSubstr("no cgroup controller 'nosuch'"));
        co_await end(host);
    });
}

} // namespace
} // namespace cppvm::testing
