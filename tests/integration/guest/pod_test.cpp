// What the containers of a pod share that no container of it has begun.

#include "tests/integration/guest/agent_test.hpp"

#include <csignal>

namespace cppvm::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class AgentPodTest : public AgentTest {
  protected:
    AgentPodTest() { agent.make_rootfs("c2"); }

    Json spec_in_pod(const std::string& id, std::vector<std::string> args) {
        Json spec = make_spec(agent, id, std::move(args));
        for (Json& entry : spec["linux"]["namespaces"]) {
            if (entry["type"] == "pid") {
                entry["path"] = "pod";
            }
        }
        return spec;
    }

    static Awaitable<> configure(HostSide& host, std::uint64_t shm_bytes) {
        agent::v2::ConfigurePodRequest request;
        request.set_shm_bytes(shm_bytes);
        co_await host.rpc().configure_pod(request);
    }

    static Awaitable<> end(HostSide& host, std::string id) {
        co_await host.signal(id, SIGKILL);
        co_await host.wait(id);
        co_await host.remove(id);
    }

    static Awaitable<std::string>
    output_of(HostSide& host, std::string id, std::vector<std::string> args) {
        static int number = 0;
        const RunResult result = co_await host.run_exec(
            id, "look" + std::to_string(++number), make_process(std::move(args))
        );
        co_return result.output;
    }
};

TEST_F(AgentPodTest, ContainersSeeEachOtherAndNotTheAgent) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await host.create("c1", spec_in_pod("c1", {"sleep", "1000"}));
        co_await host.start("c1");
        co_await host.create("c2", spec_in_pod("c2", {"sleep", "2000"}));
        co_await host.start("c2");
        const std::string seen = co_await output_of(host, "c2", {"ps"});
        EXPECT_THAT(seen, HasSubstr("pod-init"));
        EXPECT_THAT(seen, HasSubstr("sleep 1000"));
        EXPECT_THAT(seen, HasSubstr("sleep 2000"));
        EXPECT_THAT(seen, Not(HasSubstr("cppvm-agent")));
        // Its first process is out of their reach: neither signals nor a look into it.
        const std::string tried = co_await output_of(
            host, "c2", {"sh", "-c", "kill -9 1; ls /proc/1/root/ 2>&1 | wc -l; ps"}
        );
        EXPECT_THAT(tried, HasSubstr("pod-init"));
        co_await end(host, "c1");
        const std::string later = co_await output_of(host, "c2", {"ps"});
        EXPECT_THAT(later, HasSubstr("pod-init"));
        EXPECT_THAT(later, Not(HasSubstr("sleep 1000")));
        co_await end(host, "c2");
        const bool clean = co_await eventually([this] { return agent.cgroups() == 0; });
        EXPECT_TRUE(clean);
    });
}

TEST_F(AgentPodTest, OrphansAreReaped) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await host.create("c1", spec_in_pod("c1", {"sleep", "1000"}));
        co_await host.start("c1");
        co_await output_of(host, "c1", {"sh", "-c", "(sleep 0 & ) ; exec true"});
        bool is_clean = false;
        while (!is_clean) { // the test's own limit bounds it
            const std::string seen = co_await output_of(host, "c1", {"ps", "-o", "stat,args"});
            is_clean = seen.find("sleep 0") == std::string::npos &&
                       seen.find("[sleep]") == std::string::npos;
        }
        co_await end(host, "c1");
        const bool clean = co_await eventually([this] { return agent.cgroups() == 0; });
        EXPECT_TRUE(clean);
    });
}

TEST_F(AgentPodTest, HasNoOtherNamespaceOfItsOwn) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_spec(agent, "c1", {"true"});
        for (Json& entry : spec["linux"]["namespaces"]) {
            if (entry["type"] == "ipc") {
                entry["path"] = "pod";
            }
        }
        try {
            co_await host.create("c1", spec);
            ADD_FAILURE() << "no error";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::invalid_argument);
            EXPECT_THAT(error.message(), HasSubstr("the pod's own is the machine's"));
        }
    });
}

TEST_F(AgentPodTest, ContainersShareMemory) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await configure(host, 1024UL * 1024);
        co_await configure(host, 1024UL * 1024); // as after a lost answer
        for (const char* id : {"c1", "c2"}) {
            Json spec = make_spec(agent, id, {"sleep", "1000"});
            spec["mounts"].push_back(
                {{"destination", "/dev/shm"},
                 {"type", "bind"},
                 {"source", agent.share().native() + "/shm"},
                 {"options", {"bind", "nosuid", "nodev", "noexec"}}}
            );
            co_await host.create(id, spec);
            co_await host.start(id);
        }
        co_await output_of(host, "c1", {"sh", "-c", "echo hello > /dev/shm/word"});
        const std::string read = co_await output_of(host, "c2", {"cat", "/dev/shm/word"});
        EXPECT_EQ(read, "hello\n");
        const std::string size =
            co_await output_of(host, "c2", {"busybox", "df", "-k", "/dev/shm"});
        EXPECT_THAT(size, HasSubstr(" 1024 "));
        co_await end(host, "c1");
        co_await end(host, "c2");
        co_await configure(host, 0);
    });
}

} // namespace
} // namespace cppvm::testing
