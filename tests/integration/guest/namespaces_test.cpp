// Namespaces that containers share with each other, and those of time.

#include "common/os/file.hpp"
#include "tests/integration/guest/agent_test.hpp"

#include <algorithm>
#include <csignal>
#include <fstream>

namespace cppvm::testing {
namespace {

using ::testing::HasSubstr;

class AgentNamespacesTest : public AgentTest {
  protected:
    AgentNamespacesTest() { agent.make_rootfs("c2"); }

    /// Of container c2, in the namespaces of c1 of these types.
    Json sharing_spec(std::vector<std::string> args, const std::vector<std::string>& types) {
        Json spec = make_spec(agent, "c2", std::move(args));
        for (Json& entry : spec["linux"]["namespaces"]) {
            if (std::ranges::find(types, entry["type"].get<std::string>()) != types.end()) {
                entry["path"] = "container:c1";
            }
        }
        return spec;
    }

    Awaitable<> start_first(HostSide& host) {
        Json spec = make_spec(agent, "c1", {"sleep", "1000"});
        spec["hostname"] = "first";
        co_await host.create("c1", spec);
        co_await host.start("c1");
    }

    static Awaitable<> end(HostSide& host, std::string id) {
        co_await host.signal(id, SIGKILL);
        co_await host.wait(id);
        co_await host.remove(id);
    }

    static Awaitable<std::string>
    namespace_of(HostSide& host, std::string id, const std::string& type) {
        const std::string file = "/proc/self/ns/" + type;
        const RunResult result =
            co_await host.run_exec(id, "look", make_process({"readlink", file}));
        co_return result.output;
    }
};

TEST_F(AgentNamespacesTest, AreSharedByContainers) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await start_first(host);
        co_await host.create(
            "c2", sharing_spec({"sleep", "2000"}, {"pid", "ipc", "uts", "cgroup"})
        );
        co_await host.start("c2");
        for (const char* type : {"pid", "ipc", "uts", "cgroup"}) {
            const std::string first = co_await namespace_of(host, "c1", type);
            const std::string second = co_await namespace_of(host, "c2", type);
            EXPECT_EQ(first, second) << type;
            EXPECT_THAT(first, HasSubstr(type));
        }
        const std::string first = co_await namespace_of(host, "c1", "mnt");
        const std::string second = co_await namespace_of(host, "c2", "mnt");
        EXPECT_NE(first, second);
        const RunResult name = co_await host.run_exec("c2", "e1", make_process({"hostname"}));
        EXPECT_EQ(name.output, "first\n");
        const RunResult processes = co_await host.run_exec("c2", "e2", make_process({"ps"}));
        EXPECT_THAT(processes.output, HasSubstr("sleep 1000"));
        EXPECT_THAT(processes.output, HasSubstr("sleep 2000"));
        co_await end(host, "c2");
        co_await end(host, "c1");
    });
}

TEST_F(AgentNamespacesTest, OfOthersStayTheAgentsOwn) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const auto own = [this] {
            std::string all;
            for (const char* type : {"pid_for_children", "ipc", "uts", "cgroup", "time"}) {
                all += std::filesystem::read_symlink(
                           "/proc/" + std::to_string(agent.pid()) + "/ns/" + type
                )
                           .native();
            }
            return all;
        };
        const std::string before = own();
        co_await start_first(host);
        co_await host.create("c2", sharing_spec({"true"}, {"pid", "ipc", "uts", "cgroup"}));
        EXPECT_EQ(own(), before);
        co_await host.remove("c2");
        co_await end(host, "c1");
    });
}

// The kernel does not end the others of a pid namespace when it is not its first process that ends.
TEST_F(AgentNamespacesTest, OfOthersLeaveNoProcessBehind) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await start_first(host);
        co_await host.create(
            "c2", sharing_spec({"sh", "-c", "sleep 3000 & exit 5"}, {"pid", "ipc"})
        );
        co_await host.start("c2");
        const unsigned status = co_await host.wait("c2");
        EXPECT_EQ(status, 5U);
        // The zombie is the other container's to reap, whose first process it had become a child
        // of.
        const bool clean = co_await eventually([this] {
            return read_file(agent.cgroup() / "c2/cgroup.procs", 4096).empty();
        });
        EXPECT_TRUE(clean);
        co_await host.remove("c2");
        co_await end(host, "c1");
    });
}

TEST_F(AgentNamespacesTest, EndWithTheFirstProcessInThem) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await start_first(host);
        co_await host.create("c2", sharing_spec({"sleep", "1000"}, {"pid"}));
        co_await host.start("c2");
        co_await end(host, "c1");
        const unsigned status = co_await host.wait("c2");
        EXPECT_EQ(status, 137U);
        co_await host.remove("c2");
    });
}

TEST_F(AgentNamespacesTest, AreNotSharedWithAContainerThatHasEnded) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await start_first(host);
        co_await host.signal("c1", SIGKILL);
        co_await host.wait("c1");
        const Status status =
            co_await failure_of(host.create("c2", sharing_spec({"true"}, {"pid"})));
        EXPECT_EQ(status.code, Code::failed_precondition);
        EXPECT_EQ(status.message, "linux.namespaces[0].path: container c1 does not run");
        co_await host.remove("c1");
    });
}

TEST_F(AgentNamespacesTest, OfTimeHaveTheirOwnClocks) {
    run_test([this](HostSide& host) -> Awaitable<> {
        constexpr double offset = 1e7;
        const auto uptime = [](const std::string& text) {
            return std::strtod(text.c_str(), nullptr);
        };
        std::ifstream file("/proc/uptime");
        std::string now;
        std::getline(file, now);
        for (const bool mapped : {false, true}) {
            Json spec = make_spec(agent, "c1", {"sleep", "1000"});
            spec["linux"]["namespaces"].push_back({{"type", "time"}});
            spec["linux"]["timeOffsets"] = {
                {"boottime", {{"secs", 10000000}}}, {"monotonic", {{"secs", 5}, {"nanosecs", 7}}}
            };
            if (mapped) {
                spec["linux"]["namespaces"].push_back({{"type", "user"}});
                const Json range = {{{"containerID", 0}, {"hostID", 0}, {"size", 65536}}};
                spec["linux"]["uidMappings"] = range;
                spec["linux"]["gidMappings"] = range;
            }
            co_await host.create("c1", spec);
            co_await host.start("c1");
            const RunResult inside =
                co_await host.run_exec("c1", "e1", make_process({"cat", "/proc/uptime"}));
            EXPECT_GE(uptime(inside.output), uptime(now) + offset);
            const RunResult offsets =
                co_await host.run_exec("c1", "e2", make_process({"cat", "/proc/1/timens_offsets"}));
            EXPECT_THAT(offsets.output, ::testing::ContainsRegex("monotonic +5 +7"));
            const std::string own = co_await namespace_of(host, "c1", "time");
            const std::string agents =
                std::filesystem::read_symlink("/proc/" + std::to_string(agent.pid()) + "/ns/time");
            EXPECT_NE(own, agents + "\n");
            co_await end(host, "c1");
        }
    });
}

} // namespace
} // namespace cppvm::testing
