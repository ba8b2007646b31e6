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

/// Opens a device of the container's; what became of that.
Awaitable<std::string> read_device(HostSide& host, std::string exec_id) {
    const RunResult result = co_await host.run_exec(
        "c1", std::move(exec_id), make_process({"sh", "-c", "exec 3< /dev/device && echo opened"})
    );
    co_return result.output + result.errors;
}

TEST_F(AgentLimitsTest, ReplacesDeviceRules) {
    run_test([this](HostSide& host) -> Awaitable<> {
        // One that the kernel has and no container may use: /dev/fuse.
        Json spec = make_spec(agent, "c1", {"sleep", "1000"});
        spec["linux"]["devices"] = {
            {{"path", "/dev/device"}, {"type", "c"}, {"major", 10}, {"minor", 229}}
        };
        const Json none = {{"allow", false}, {"access", "rwm"}};
        const Json one = {
            {"allow", true}, {"type", "c"}, {"major", 10}, {"minor", 229}, {"access", "rw"}
        };
        const auto update = [&host](Json rules) -> Awaitable<int> {
            agent::v2::UpdateContainerRequest request;
            request.set_container_id("c1");
            request.set_resources(Json{{"devices", std::move(rules)}}.dump());
            const auto response = co_await host.rpc().update_container(request);
            co_return response.unsupported_size();
        };
        for (const bool has_rules_at_first : {true, false}) {
            if (has_rules_at_first) {
                spec["linux"]["resources"]["devices"] = Json::array({none});
            } else {
                spec["linux"].erase("resources");
            }
            co_await host.create("c1", spec);
            co_await host.start("c1");
            const std::string at_first = co_await read_device(host, "e1");
            EXPECT_EQ(at_first == "opened\n", !has_rules_at_first) << at_first;
            int unsupported = co_await update(Json::array({none}));
            EXPECT_EQ(unsupported, 0);
            const std::string refused = co_await read_device(host, "e2");
            EXPECT_THAT(refused, HasSubstr("Operation not permitted"));
            unsupported = co_await update(Json::array({none, one}));
            EXPECT_EQ(unsupported, 0);
            const std::string allowed = co_await read_device(host, "e3");
            EXPECT_EQ(allowed, "opened\n");
            const Status malformed =
                co_await failure_of(update(Json::array({Json{{"allow", true}, {"type", "x"}}})));
            EXPECT_EQ(malformed.message, "linux.resources.devices[0].type: unknown type 'x'");
            const std::string still = co_await read_device(host, "e4");
            EXPECT_EQ(still, "opened\n");
            co_await end(host);
        }
    });
}

TEST_F(AgentLimitsTest, NamesLimitsThatThisKernelDoesNotHave) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_spec(agent, "c1", {"true"});
        spec["linux"]["resources"] = {
            {"hugepageLimits", {{{"pageSize", "3MB"}, {"limit", 0}}}},
            {"unified", {{"hugetlb.5MB.max", "0"}}}
        };
        const RunResult result = co_await host.run("c1", spec);
        EXPECT_THAT(
            result.unsupported,
            ::testing::ElementsAre(
                "linux.resources.hugepageLimits[0]", "linux.resources.unified.hugetlb.5MB.max"
            )
        );
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
