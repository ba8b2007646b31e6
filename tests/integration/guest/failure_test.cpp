#include "tests/integration/guest/agent_test.hpp"

#include <csignal>
#include <fstream>

namespace cppvm::testing {
namespace {

using ::testing::HasSubstr;

/// One way in which the set-up of a container goes wrong, in the order of the steps.
struct BrokenSpec {
    std::string name;
    std::function<void(Json& spec, const AgentProcess& agent)> break_it;
    Code code;
    std::string words; ///< part of the error
};

// NOLINTNEXTLINE(readability-identifier-naming): gtest looks for this name.
void PrintTo(const BrokenSpec& broken, std::ostream* stream) {
    *stream << broken.name;
}

class AgentFailureTest : public AgentTest, public ::testing::WithParamInterface<BrokenSpec> {};

// The fixture checks that no descriptor, process, mount or cgroup is left; and the id is free
// again.
TEST_P(AgentFailureTest, LeavesNothing) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const BrokenSpec& broken = GetParam();
        const Json good = make_spec(agent, "c1", {"true"});
        Json spec = good;
        spec["process"]["terminal"] = false;
        broken.break_it(spec, agent);
        auto [stream_id, stream] = co_await host.open_stream();
        agent::v2::Stdio stdio;
        stdio.set_stdout_stream(stream_id);
        const Status status = co_await failure_of(host.create("c1", spec, stdio));
        EXPECT_EQ(status.code, broken.code) << status.message;
        EXPECT_THAT(status.message, HasSubstr(broken.words));
        const bool clean =
            co_await eventually([this] { return agent.processes() == 0 && agent.cgroups() == 0; });
        EXPECT_TRUE(clean);
        const RunResult result = co_await host.run("c1", good);
        EXPECT_EQ(result.status, 0U);
    });
}

Json& add_mount(Json& spec, Json mount) {
    spec["mounts"].push_back(std::move(mount));
    return spec["mounts"].back();
}

Json& add_namespace(Json& spec, Json entry) {
    spec["linux"]["namespaces"].push_back(std::move(entry));
    return spec["linux"]["namespaces"].back();
}

INSTANTIATE_TEST_SUITE_P(
    AgentFailureTest,
    AgentFailureTest,
    ::testing::Values(
        BrokenSpec{
            "Version",
            [](Json& spec, const auto&) { spec["ociVersion"] = "3"; },
            Code::invalid_argument,
            "ociVersion: must be 1.x"
        },
        BrokenSpec{
            "NamespacePath",
            [](Json& spec, const auto&) {
                add_namespace(spec, {{"type", "network"}, {"path", "/proc/1/ns/net"}});
            },
            Code::invalid_argument,
            "linux.namespaces[5].path: '/proc/1/ns/net' is not a namespace of the guest"
        },
        BrokenSpec{
            "NamespaceType",
            [](Json& spec, const auto&) { add_namespace(spec, {{"type", "space"}}); },
            Code::invalid_argument,
            "linux.namespaces[5].type"
        },
        BrokenSpec{
            "NamespaceOfNobody",
            [](Json& spec, const auto&) {
                spec["linux"]["namespaces"][1]["path"] = "container:none";
            },
            Code::failed_precondition,
            "linux.namespaces[1].path: container none: not found"
        },
        BrokenSpec{
            "NamespaceThatIsNotShared",
            [](Json& spec, const auto&) {
                spec["linux"]["namespaces"][3]["path"] = "container:c2";
            },
            Code::invalid_argument,
            "linux.namespaces[3].path: containers cannot share a namespace of type 'mount'"
        },
        BrokenSpec{
            "TimeOffsetsWithoutNamespace",
            [](Json& spec, const auto&) {
                spec["linux"]["timeOffsets"]["monotonic"] = {{"secs", 1}};
            },
            Code::invalid_argument,
            "linux.timeOffsets: needs a namespace of type 'time'"
        },
        BrokenSpec{
            "TimeOffsetOfNoClock",
            [](Json& spec, const auto&) {
                add_namespace(spec, {{"type", "time"}});
                spec["linux"]["timeOffsets"]["realtime"] = {{"secs", 1}};
            },
            Code::invalid_argument,
            "linux.timeOffsets.realtime: is no clock"
        },
        BrokenSpec{
            "TimeBeforeTheBoot",
            [](Json& spec, const auto&) {
                add_namespace(spec, {{"type", "time"}});
                spec["linux"]["timeOffsets"]["boottime"] = {{"secs", -1000000000}};
            },
            Code::unknown,
            "linux.timeOffsets.boottime: write 'boottime -1000000000 0' to"
        },
        BrokenSpec{
            "CreateHookThatIsNotThere",
            [](Json& spec, const auto&) {
                spec["hooks"]["createContainer"] = {{{"path", "/opt/of-the-host"}}};
            },
            Code::failed_precondition,
            "createContainer hook #0: run /opt/of-the-host: exit code 127: No such file or "
            "directory in "
            "the container's root file system"
        },
        BrokenSpec{
            "CreateHookThatFails",
            [](Json& spec, const auto&) {
                spec["hooks"]["createContainer"] = {
                    {{"path", "/bin/sh"}, {"args", {"sh", "-c", "echo one; echo two >&2; exit 7"}}}
                };
            },
            Code::failed_precondition,
            "createContainer hook #0: run /bin/sh: exit code 7: two"
        },
        BrokenSpec{
            "CreateHookThatHangs",
            [](Json& spec, const auto&) {
                spec["hooks"]["createContainer"] = {
                    {{"path", "/bin/true"}},
                    {{"path", "/bin/sleep"}, {"args", {"sleep", "1000"}}, {"timeout", 1}}
                };
            },
            Code::failed_precondition,
            "createContainer hook #1: run /bin/sleep: timed out"
        },
        BrokenSpec{
            "NoMountNamespace",
            [](Json& spec, const auto&) { spec["linux"]["namespaces"].erase(3); },
            Code::invalid_argument,
            "must have one of type 'mount'"
        },
        BrokenSpec{
            "UserNamespaceWithoutMappings",
            [](Json& spec, const auto&) { add_namespace(spec, {{"type", "user"}}); },
            Code::invalid_argument,
            "needs uidMappings and gidMappings"
        },
        BrokenSpec{
            "OverlappingMappings",
            [](Json& spec, const auto&) {
                add_namespace(spec, {{"type", "user"}});
                const Json one = {{"containerID", 0}, {"hostID", 0}, {"size", 10}};
                spec["linux"]["uidMappings"] = Json::array({one, one});
                spec["linux"]["gidMappings"] = Json::array({one});
            },
            Code::invalid_argument,
            "linux.uidMappings[1]: maps ids of the container that an earlier mapping has"
        },
        BrokenSpec{
            "MissingController",
            [](Json& spec, const auto&) {
                spec["linux"]["resources"] = {{"unified", {{"nonsense.max", "1"}}}};
            },
            Code::failed_precondition,
            "no cgroup controller 'nonsense'"
        },
        BrokenSpec{
            "UnifiedPath",
            [](Json& spec, const auto&) {
                spec["linux"]["resources"] = {{"unified", {{"../../x.y", "1"}}}};
            },
            Code::invalid_argument,
            "is not the name of a cgroup file"
        },
        BrokenSpec{
            "Hostname",
            [](Json& spec, const auto&) { spec["hostname"] = std::string(100, 'h'); },
            Code::unknown,
            "set hostname"
        },
        BrokenSpec{
            "SysctlOfTheMachine",
            [](Json& spec, const auto&) { spec["linux"]["sysctl"] = {{"kernel.panic", "1"}}; },
            Code::invalid_argument,
            "linux.sysctl.kernel.panic"
        },
        BrokenSpec{
            "SysctlMissing",
            [](Json& spec, const auto&) { spec["linux"]["sysctl"] = {{"net.nope", "1"}}; },
            Code::unknown,
            "open /proc/sys/net/nope"
        },
        BrokenSpec{
            "RootMissing",
            [](Json& spec, const AgentProcess& agent) {
                spec["root"]["path"] = (agent.share() / "nope").native();
            },
            Code::unknown,
            "root.path: open"
        },
        BrokenSpec{
            "MountSourceMissing",
            [](Json& spec, const AgentProcess& agent) {
                add_mount(
                    spec,
                    {{"destination", "/v"},
                     {"type", "bind"},
                     {"source", (agent.share() / "nope").native()}}
                );
            },
            Code::unknown,
            "bind mount /v: open"
        },
        BrokenSpec{
            "FileSystemType",
            [](Json& spec, const auto&) {
                add_mount(spec, {{"destination", "/v"}, {"type", "nopefs"}});
            },
            Code::unknown,
            "open file system 'nopefs' for mount /v: No such device"
        },
        BrokenSpec{
            "MountOption",
            [](Json& spec, const auto&) {
                add_mount(
                    spec, {{"destination", "/v"}, {"type", "tmpfs"}, {"options", {"mode=999"}}}
                );
            },
            Code::unknown,
            "set option 'mode=999' of mount /v"
        },
        BrokenSpec{
            "MountOverFile",
            [](Json& spec, const auto&) {
                add_mount(spec, {{"destination", "/bin/sh"}, {"type", "tmpfs"}});
            },
            Code::unknown,
            "attach mount /bin/sh: Not a directory"
        },
        BrokenSpec{
            "MountBelowFile",
            [](Json& spec, const auto&) {
                add_mount(spec, {{"destination", "/bin/sh/x"}, {"type", "tmpfs"}});
            },
            Code::unknown,
            "/bin/sh/x: Not a directory"
        },
        BrokenSpec{
            "IdMappedMount",
            [](Json& spec, const auto&) {
                add_mount(spec, {{"destination", "/v"}, {"type", "tmpfs"}, {"options", {"idmap"}}});
            },
            Code::invalid_argument,
            "mounts[3]: id-mapped mounts"
        },
        BrokenSpec{
            "DeviceInTheWay",
            [](Json& spec, const auto&) {
                const Json one = {{"path", "/dev/mine"}, {"type", "c"}, {"major", 1}, {"minor", 3}};
                Json other = one;
                other["minor"] = 5;
                spec["linux"]["devices"] = Json::array({one, one, other});
            },
            Code::failed_precondition,
            "create device /dev/mine: the rootfs has something else"
        },
        BrokenSpec{
            "DeviceThatNobodyHas",
            [](Json& spec, const auto&) {
                const Json number = {{"type", "c"}, {"major", 195}, {"minor", 77}};
                spec["linux"]["devices"] = {{{"path", "/dev/absent"}}};
                spec["linux"]["devices"][0].update(number);
                spec["linux"]["resources"]["devices"] = {{{"allow", true}, {"access", "rw"}}};
                spec["linux"]["resources"]["devices"][0].update(number);
            },
            Code::failed_precondition,
            "create device /dev/absent: the guest has no character device 195:77"
        },
        BrokenSpec{
            "Cwd",
            [](Json& spec, const auto&) { spec["process"]["cwd"] = "/bin/sh"; },
            Code::unknown,
            "enter working directory /bin/sh: Not a directory"
        },
        BrokenSpec{
            "RlimitName",
            [](Json& spec, const auto&) {
                spec["process"]["rlimits"] = {{{"type", "RLIMIT_X"}, {"soft", 1}, {"hard", 1}}};
            },
            Code::invalid_argument,
            "process.rlimits[0].type: unknown limit 'RLIMIT_X'"
        },
        BrokenSpec{
            "AmbientCapability",
            [](Json& spec, const auto&) {
                spec["process"]["capabilities"] = {{"ambient", {"CAP_KILL"}}};
            },
            Code::permission_denied,
            "raise ambient capability CAP_KILL"
        },
        BrokenSpec{
            "Propagation",
            [](Json& spec, const auto&) { spec["linux"]["rootfsPropagation"] = "sideways"; },
            Code::invalid_argument,
            "linux.rootfsPropagation"
        }
    ),
    [](const auto& entry) { return entry.param.name; }
);

class AgentAbortTest : public AgentTest {
  protected:
    /// Until the container is gone, removing it if it came to be.
    static Awaitable<bool> settle(HostSide& host) {
        const Deadline deadline = deadline_in(std::chrono::seconds(10));
        while (std::chrono::steady_clock::now() < deadline) {
            const Status status = co_await failure_of(host.remove("c1"));
            if (status.code == Code::not_found) {
                co_return true;
            }
        }
        co_return false;
    }
};

TEST_F(AgentAbortTest, LeavesNothingOfACreateThatIsCutOff) {
    run_test([this](HostSide&) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        for (int i = 0; i < 20; ++i) {
            auto second = co_await HostSide::connect(agent);
            TaskGroup tasks(executor, Logger());
            tasks.spawn("create", [](HostSide& from, Json spec) -> Awaitable<> {
                co_await failure_of(from.create("c1", std::move(spec)));
            }(*second, make_spec(agent, "c1", {"sleep", "1000"})));
            co_await second->rpc().set_clock({}); // the create is under way then
            co_await second->stop();
            co_await tasks.join();
            // It may have come to its end before; then the container is there, and can be removed.
            auto third = co_await HostSide::connect(agent);
            const bool settled = co_await settle(*third);
            EXPECT_TRUE(settled);
            co_await third->stop();
        }
    });
}

} // namespace
} // namespace cppvm::testing
