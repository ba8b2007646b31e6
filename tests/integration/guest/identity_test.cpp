#include "common/base/plain_message.hpp"
#include "common/os/seccomp_filter.hpp"
#include "tests/integration/guest/agent_test.hpp"

#include <seccomp.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace cppvm::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

class AgentIdentityTest : public AgentTest {
  protected:
    /// /proc/self/status as a program in the container sees it.
    Awaitable<std::map<std::string, std::string>> status_of(HostSide& host, Json spec) {
        spec["process"]["args"] = {"cat", "/proc/self/status"};
        const RunResult result = co_await host.run("c1", std::move(spec));
        EXPECT_EQ(result.errors, "");
        std::map<std::string, std::string> values;
        std::istringstream lines(result.output);
        std::string line;
        while (std::getline(lines, line)) {
            const std::size_t colon = line.find(":\t");
            if (colon != std::string::npos) {
                std::string value = line.substr(colon + 2);
                while (!value.empty() && value.back() == ' ') {
                    value.pop_back();
                }
                values[line.substr(0, colon)] = value;
            }
        }
        co_return values;
    }
};

TEST_F(AgentIdentityTest, SetsUserGroupsAndUmask) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_spec(agent, "c1", {});
        spec["process"]["user"] = {
            {"uid", 1234}, {"gid", 567}, {"umask", 027}, {"additionalGids", {8, 9}}
        };
        auto values = co_await status_of(host, spec);
        EXPECT_EQ(values["Uid"], "1234\t1234\t1234\t1234");
        EXPECT_EQ(values["Gid"], "567\t567\t567\t567");
        EXPECT_EQ(values["Groups"], "8 9");
        EXPECT_EQ(values["Umask"], "0027");
        spec = make_spec(agent, "c1", {});
        values = co_await status_of(host, spec);
        EXPECT_EQ(values["Groups"], "");
        EXPECT_EQ(values["Umask"], "0022");
        EXPECT_EQ(values["SigBlk"], "0000000000000000");
        EXPECT_EQ(values["SigIgn"], "0000000000000000");
    });
}

TEST_F(AgentIdentityTest, SetsAllFiveCapabilitySets) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_spec(agent, "c1", {});
        auto values = co_await status_of(host, spec);
        EXPECT_EQ(values["CapBnd"], "0000000000000000");
        EXPECT_EQ(values["CapEff"], "0000000000000000");
        spec["process"]["user"] = {{"uid", 1000}, {"gid", 1000}};
        spec["process"]["capabilities"] = {
            {"bounding", {"CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"}},
            {"effective", {"CAP_CHOWN", "CAP_KILL"}},
            {"permitted", {"CAP_CHOWN", "CAP_KILL"}},
            {"inheritable", {"CAP_KILL"}},
            {"ambient", {"CAP_KILL"}}
        };
        values = co_await status_of(host, spec);
        EXPECT_EQ(values["CapBnd"], "0000000000002021");
        // A program without file capabilities keeps the ambient ones over its execve.
        EXPECT_EQ(values["CapInh"], "0000000000000020");
        EXPECT_EQ(values["CapPrm"], "0000000000000020");
        EXPECT_EQ(values["CapEff"], "0000000000000020");
        EXPECT_EQ(values["CapAmb"], "0000000000000020");
        spec["process"]["user"] = {{"uid", 0}, {"gid", 0}};
        spec["process"]["capabilities"].erase("ambient");
        values = co_await status_of(host, spec);
        EXPECT_EQ(values["CapPrm"], "0000000000002021"); // root gets the bounding set
        EXPECT_EQ(values["CapAmb"], "0000000000000000");
    });
}

TEST_F(AgentIdentityTest, ReportsUnknownCapabilities) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_spec(agent, "c1", {"true"});
        spec["process"]["capabilities"] = {{"bounding", {"CAP_CHOWN", "CAP_FROM_THE_FUTURE"}}};
        const RunResult result = co_await host.run("c1", spec);
        EXPECT_THAT(
            result.unsupported, ElementsAre("process.capabilities.bounding.CAP_FROM_THE_FUTURE")
        );
    });
}

TEST_F(AgentIdentityTest, SetsNoNewPrivileges) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_spec(agent, "c1", {});
        auto values = co_await status_of(host, spec);
        EXPECT_EQ(values["NoNewPrivs"], "0");
        spec["process"]["noNewPrivileges"] = true;
        values = co_await status_of(host, spec);
        EXPECT_EQ(values["NoNewPrivs"], "1");
    });
}

agent::v2::CreateContainerRequest refusing_mkdir() {
    const SeccompContext filter = make_seccomp_context(SCMP_ACT_ALLOW);
    for (const int call : {SCMP_SYS(mkdir), SCMP_SYS(mkdirat)}) {
        check_seccomp(
            ::seccomp_rule_add(filter.get(), SCMP_ACT_ERRNO(EOVERFLOW), call, 0), "add a rule"
        );
    }
    const auto program = export_program(filter);
    agent::v2::CreateContainerRequest request;
    request.mutable_seccomp()->set_instructions(to_message<sock_filter>(program));
    return request;
}

TEST_F(AgentIdentityTest, FiltersSystemCalls) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const std::string script = "mkdir /made 2>&1; grep ^Seccomp: /proc/self/status";
        const std::string filtered =
            "mkdir: can't create directory '/made': Value too large for defined data type\n"
            "Seccomp:\t2\n";
        Json spec = make_spec(agent, "c1", {"true"});
        const auto request = refusing_mkdir();
        for (const bool no_new_privileges : {false, true}) {
            spec["process"]["noNewPrivileges"] = no_new_privileges;
            spec["process"]["args"] = {"sh", "-c", script};
            const RunResult init = co_await host.run("c1", spec, "", request);
            EXPECT_EQ(init.output, filtered);
            spec["process"]["args"] = {"sleep", "1000"};
            co_await host.create("c1", spec, {}, request);
            co_await host.start("c1");
            Json process = make_process({"sh", "-c", script});
            process["noNewPrivileges"] = no_new_privileges;
            const RunResult exec = co_await host.run_exec("c1", "e1", process);
            EXPECT_EQ(exec.output, filtered);
            co_await host.signal("c1", SIGKILL);
            co_await host.wait("c1");
            co_await host.remove("c1");
        }
    });
}

// It would run without one.
TEST_F(AgentIdentityTest, RefusesAFilterThatIsNotCompiled) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_spec(agent, "c1", {"true"});
        spec["linux"]["seccomp"] = {{"defaultAction", "SCMP_ACT_ALLOW"}};
        const Status status = co_await failure_of(host.create("c1", spec));
        EXPECT_EQ(status.code, Code::invalid_argument);
        EXPECT_EQ(status.message, "linux.seccomp: the host must have compiled it");
    });
}

TEST_F(AgentIdentityTest, SetsLimitsAndScore) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_script_spec(
            agent, "c1", "ulimit -n; ulimit -Hn; ulimit -Sc; cat /proc/self/oom_score_adj"
        );
        spec["process"]["rlimits"] = {
            {{"type", "RLIMIT_NOFILE"}, {"soft", 100}, {"hard", 200}},
            {{"type", "RLIMIT_CORE"}, {"soft", 0}, {"hard", 0}}
        };
        spec["process"]["oomScoreAdj"] = 500;
        const RunResult result = co_await host.run("c1", spec);
        EXPECT_EQ(result.output, "100\n200\n0\n500\n");
    });
}

TEST_F(AgentIdentityTest, SetsSchedulerPriorityForIoAndPersonality) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_script_spec(agent, "c1", "ionice -p $$; uname -m; cat /proc/self/stat");
        spec["process"]["scheduler"] = {{"policy", "SCHED_BATCH"}, {"nice", 5}};
        spec["process"]["ioPriority"] = {{"class", "IOPRIO_CLASS_BE"}, {"priority", 6}};
        spec["linux"]["personality"] = {{"domain", "LINUX32"}};
        const RunResult result = co_await host.run("c1", spec);
        // proc_pid_stat(5): the state, which follows the name, is field 3.
        std::istringstream words(result.output.substr(result.output.rfind(')') + 1));
        const std::vector<std::string> stat(
            (std::istream_iterator<std::string>(words)), std::istream_iterator<std::string>()
        );
        EXPECT_EQ(stat.at(19 - 3), "5") << "nice";
        EXPECT_EQ(stat.at(41 - 3), "3") << "policy";
        EXPECT_THAT(result.output, HasSubstr("best-effort: prio 6"));
        EXPECT_THAT(result.output, HasSubstr("i686"));
        EXPECT_TRUE(result.unsupported.empty());
        spec["process"]["scheduler"] = {{"policy", "SCHED_SOME"}};
        const Status refused = co_await failure_of(host.run("c1", spec));
        EXPECT_EQ(refused.message, "process.scheduler.policy: unknown value 'SCHED_SOME'");
    });
}

TEST_F(AgentIdentityTest, SetsNamesAndSysctls) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_script_spec(
            agent,
            "c1",
            "hostname; cat /proc/sys/kernel/domainname /proc/sys/kernel/shmmni "
            "/proc/sys/net/ipv4/ip_unprivileged_port_start; cat /proc/net/dev | grep -c lo:"
        );
        spec["hostname"] = "the-host";
        spec["domainname"] = "the-domain";
        spec["linux"]["sysctl"] = {
            {"kernel.shmmni", "1000"}, {"net.ipv4.ip_unprivileged_port_start", "80"}
        };
        spec["linux"]["namespaces"].push_back({{"type", "network"}});
        const RunResult result = co_await host.run("c1", spec);
        EXPECT_EQ(result.output, "the-host\nthe-domain\n1000\n80\n1\n");
        EXPECT_EQ(result.errors, "");
    });
}

TEST_F(AgentIdentityTest, MakesTheEnvironment) {
    std::filesystem::create_directories(agent.share() / "c1/rootfs/etc");
    std::ofstream(agent.share() / "c1/rootfs/etc/passwd")
        << "root:x:0:0::/root:/bin/sh\nbad line\nuser:x:1000:1000:Name:/home/user:/bin/sh\n";
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_spec(agent, "c1", {"env"});
        spec["process"]["env"] = {"PATH=/nowhere:/bin", "A=b c", "EMPTY="};
        spec["process"]["user"] = {{"uid", 1000}, {"gid", 1000}};
        RunResult result = co_await host.run("c1", spec);
        EXPECT_EQ(result.output, "PATH=/nowhere:/bin\nA=b c\nEMPTY=\nHOME=/home/user\n");
        spec["process"]["env"] = {"HOME=/x"};
        result = co_await host.run("c1", spec);
        EXPECT_EQ(result.output, "HOME=/x\n"); // and the program was found in the default PATH
    });
}

TEST_F(AgentIdentityTest, IgnoresAHostilePasswordFile) {
    std::filesystem::create_directories(agent.share() / "c1/rootfs/etc");
    ASSERT_EQ(::mkfifo((agent.share() / "c1/rootfs/etc/passwd").c_str(), 0666), 0);
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_spec(agent, "c1", {"env"});
        spec["process"]["env"] = {"PATH=/bin"};
        const RunResult result = co_await host.run("c1", spec);
        EXPECT_EQ(result.output, "PATH=/bin\nHOME=/\n");
    });
}

TEST_F(AgentIdentityTest, MapsUsersInAUserNamespace) {
    // The rootfs belongs to the mapped root, as a snapshotter would have it.
    const auto root = agent.share() / "c1/rootfs";
    for (const auto& path : {agent.share() / "c1", root, root / "bin", root / "bin/busybox"}) {
        ASSERT_EQ(::lchown(path.c_str(), 100000, 100000), 0);
    }
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_script_spec(
            agent,
            "c1",
            "id -u; cat /proc/self/uid_map; touch /made; stat -c %u /made; "
            "stat -c '%t %T' /dev/null; echo x > /dev/null && echo ok"
        );
        spec["linux"]["namespaces"].push_back({{"type", "user"}});
        spec["linux"]["uidMappings"] = {{{"containerID", 0}, {"hostID", 100000}, {"size", 65536}}};
        spec["linux"]["gidMappings"] = {{{"containerID", 0}, {"hostID", 100000}, {"size", 65536}}};
        RunResult result = co_await host.run("c1", spec);
        EXPECT_EQ(result.errors, "");
        EXPECT_EQ(result.output, "0\n         0     100000      65536\n0\n1 3\nok\n");
        spec["process"]["args"] = {"sleep", "1000"};
        co_await host.create("c1", spec);
        co_await host.start("c1");
        result = co_await host.run_exec(
            "c1", "e1", make_process({"sh", "-c", "id -u; cat /proc/self/uid_map"})
        );
        EXPECT_EQ(result.output, "0\n         0     100000      65536\n");
        co_await host.signal("c1", SIGKILL);
        co_await host.wait("c1");
        co_await host.remove("c1");
    });
}

TEST_F(AgentIdentityTest, ReportsWhatItDoesNotHonour) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_spec(agent, "c1", {"true"});
        spec["process"]["execCPUAffinity"] = {{"initial", "0"}};
        spec["process"]["apparmorProfile"] = "some-profile";
        spec["linux"]["intelRdt"] = {{"closID", "x"}};
        spec["linux"]["resources"] = {{"network", {{"classID", 1}}}};
        spec["mounts"].push_back(
            {{"destination", "/t"},
             {"type", "tmpfs"},
             {"source", "t"},
             {"options", {"copy-symlink"}}}
        );
        const RunResult result = co_await host.run("c1", spec);
        EXPECT_THAT(
            result.unsupported,
            UnorderedElementsAre(
                "process.execCPUAffinity",
                "process.apparmorProfile",
                "linux.intelRdt",
                "linux.resources.network",
                "mounts[3].options.copy-symlink"
            )
        );
    });
}

} // namespace
} // namespace cppvm::testing
