// The hooks of the guest: createContainer and startContainer.

#include "common/os/file.hpp"
#include "tests/integration/guest/agent_test.hpp"

#include <csignal>
#include <fstream>

namespace cppvm::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class AgentHooksTest : public AgentTest {
  protected:
    static Json shell(const std::string& script) {
        return {{"path", "/bin/sh"}, {"args", {"sh", "-c", script}}, {"env", {"PATH=/bin"}}};
    }

    std::filesystem::path file(const std::string& name) const {
        return agent.share() / "c1/rootfs" / name;
    }

    std::string text_of(const std::string& name) const { return read_file(file(name), 1UL << 20); }

    static std::string capabilities_of(pid_t pid) {
        std::ifstream status("/proc/" + std::to_string(pid) + "/status");
        std::string line;
        while (std::getline(status, line) && !line.starts_with("CapEff:")) {
        }
        return line + "\n";
    }

    /// The start fails, and nothing is left that could not be removed.
    Awaitable<std::string> start_failure(HostSide& host, Json spec) {
        co_await host.create("c1", std::move(spec));
        const Status status = co_await failure_of(host.start("c1"));
        EXPECT_EQ(status.code, Code::failed_precondition);
        const unsigned exit = co_await host.wait("c1");
        // By itself, or by the agent, which does not wait for that.
        EXPECT_THAT(exit, AnyOf(128U, 137U));
        co_await host.remove("c1");
        const RunResult next = co_await host.run("c1", make_spec(agent, "c1", {"true"}));
        EXPECT_EQ(next.status, 0U);
        co_return status.message;
    }
};

TEST_F(AgentHooksTest, AreToldTheState) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_spec(agent, "c1", {"true"});
        spec["annotations"] = {{"key", "value"}};
        spec["hooks"]["createContainer"] = Json::array({shell("cat > /creating")});
        spec["hooks"]["startContainer"] = Json::array({shell("cat > /starting")});
        co_await host.run("c1", spec);
        Json state = {
            {"ociVersion", "1.0.2"},
            {"id", "c1"},
            {"status", "creating"},
            {"pid", 1},
            {"bundle", HostSide::bundle},
            {"annotations", {{"key", "value"}}}
        };
        EXPECT_EQ(Json::parse(text_of("creating")), state);
        state["status"] = "created";
        EXPECT_EQ(Json::parse(text_of("starting")), state);
    });
}

TEST_F(AgentHooksTest, RunInTheOrderOfTheContainersLife) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_script_spec(agent, "c1", "echo program >> /said");
        spec["hooks"]["createContainer"] =
            Json::array({shell("echo 1 >> /said"), shell("echo 2 >> /said")});
        spec["hooks"]["startContainer"] =
            Json::array({shell("echo 3 >> /said"), shell("echo 4 >> /said")});
        co_await host.create("c1", spec);
        EXPECT_EQ(text_of("said"), "1\n2\n");
        co_await host.start("c1");
        co_await host.wait("c1");
        EXPECT_EQ(text_of("said"), "1\n2\n3\n4\nprogram\n");
        co_await host.remove("c1");
    });
}

// createContainer as root that may do anything with the root, although that will be read-only;
// startContainer as the program will be, in its directory.
TEST_F(AgentHooksTest, RunAsWhoTheyAre) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const std::string look = "(id -u; pwd; grep ^CapEff /proc/self/status; echo $WORD)";
        std::filesystem::create_directories(file("work"));
        Json spec = make_spec(agent, "c1", {"true"});
        spec["root"]["readonly"] = true;
        spec["process"]["user"] = {{"uid", 1000}, {"gid", 1000}};
        spec["process"]["cwd"] = "/work";
        spec["process"]["env"] = {"PATH=/bin", "WORD=of-the-process"};
        Json inherits = shell(look + " > /tmp/started; cat /tmp/started >&2; exit 1");
        inherits.erase("env");
        spec["mounts"].push_back(
            {{"destination", "/tmp"}, {"type", "tmpfs"}, {"options", {"mode=1777"}}}
        );
        spec["hooks"]["createContainer"] = Json::array({shell(look + " > /created")});
        spec["hooks"]["startContainer"] = Json::array({inherits});
        const std::string failure = co_await start_failure(host, spec);
        EXPECT_THAT(failure, HasSubstr("exit code 1: of-the-process"));
        EXPECT_THAT(text_of("created"), StartsWith("0\n/\n" + capabilities_of(agent.pid())));

        inherits["args"][2] = "test $(id -u):$(pwd) = 1000:/work";
        spec["hooks"]["startContainer"] = Json::array({inherits});
        const RunResult result = co_await host.run("c1", spec);
        EXPECT_EQ(result.status, 0U);
    });
}

TEST_F(AgentHooksTest, ThatFailFailTheStart) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_script_spec(agent, "c1", "echo > /started");
        spec["hooks"]["startContainer"] = Json::array(
            {shell("exit 0"), shell("echo first >&2; echo last >&2; exit 3"), shell("echo > /third")
            }
        );
        std::string failure = co_await start_failure(host, spec);
        EXPECT_EQ(failure, "startContainer hook #1: run /bin/sh: exit code 3: last");
        EXPECT_FALSE(std::filesystem::exists(file("third")));
        EXPECT_FALSE(std::filesystem::exists(file("started")));

        spec["hooks"]["startContainer"] = Json::array({{{"path", "/nowhere"}}});
        failure = co_await start_failure(host, spec);
        EXPECT_EQ(
            failure,
            "startContainer hook #0: run /nowhere: exit code 127: No such file or directory in the "
            "container's root file system"
        );

        spec["hooks"]["startContainer"] = Json::array({shell("kill -9 $$")});
        failure = co_await start_failure(host, spec);
        EXPECT_EQ(failure, "startContainer hook #0: run /bin/sh: signal 9");
    });
}

TEST_F(AgentHooksTest, ThatHangAreKilledWithWhatTheyStarted) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_spec(agent, "c1", {"true"});
        spec["linux"]["namespaces"].erase(0); // nobody else would end the background process
        Json hook = shell("sleep 1000 & sleep 1000");
        hook["timeout"] = 1;
        spec["hooks"]["startContainer"] = Json::array({hook});
        co_await host.create("c1", spec);
        const Status status = co_await failure_of(host.start("c1"));
        EXPECT_EQ(status.message, "startContainer hook #0: run /bin/sh: timed out");
        co_await host.wait("c1");
        const bool gone = co_await eventually([this] { return agent.processes() == 0; });
        EXPECT_TRUE(gone);
        co_await host.remove("c1");
    });
}

TEST_F(AgentHooksTest, MayPrintWhatTheyLike) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const std::string flood = "dd if=/dev/zero bs=65536 count=160 2> /dev/null";
        Json spec = make_spec(agent, "c1", {"true"});
        spec["hooks"]["startContainer"] = Json::array(
            {shell(flood),
             shell(flood + " >&2"),
             shell(flood + " >&2; echo; echo enough >&2; exit 9")}
        );
        const std::string failure = co_await start_failure(host, spec);
        EXPECT_THAT(failure, HasSubstr("startContainer hook #2: run /bin/sh: exit code 9: "));
        EXPECT_THAT(failure, ::testing::EndsWith("enough"));
    });
}

// What a hook leaves behind may hold its stderr open; it belongs to the container.
TEST_F(AgentHooksTest, ThatLeaveAProcessBehindDoNotHoldUpTheStart) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_spec(agent, "c1", {"sleep", "1000"});
        spec["hooks"]["startContainer"] = Json::array({shell("sleep 1000 &")});
        co_await host.create("c1", spec);
        co_await host.start("c1");
        agent::v2::ListProcessesRequest request;
        request.set_container_id("c1");
        const auto listed = co_await host.rpc().list_processes(request);
        EXPECT_EQ(listed.processes_size(), 2);
        co_await host.signal("c1", SIGKILL);
        co_await host.wait("c1");
        co_await host.remove("c1");
    });
}

TEST_F(AgentHooksTest, EndWithAContainerThatIsKilled) {
    run_test([this](HostSide& host) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        Json spec = make_spec(agent, "c1", {"true"});
        spec["hooks"]["startContainer"] = Json::array({shell("echo > /hanging; sleep 1000")});
        co_await host.create("c1", spec);
        TaskGroup tasks(executor, Logger());
        // Whether it has ended before its program or after the first instruction makes no
        // difference to who has asked for its start: the exit tells.
        tasks.spawn("start", [](HostSide& from) -> Awaitable<> {
            co_await failure_of(from.start("c1"));
        }(host));
        const bool hangs =
            co_await eventually([this] { return std::filesystem::exists(file("hanging")); });
        EXPECT_TRUE(hangs);
        co_await host.signal("c1", SIGKILL);
        co_await tasks.join();
        const unsigned exit = co_await host.wait("c1");
        EXPECT_EQ(exit, 137U);
        co_await host.remove("c1");
    });
}

} // namespace
} // namespace cppvm::testing
