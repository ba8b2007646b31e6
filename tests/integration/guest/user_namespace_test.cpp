#include "tests/integration/guest/agent_test.hpp"

#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

/// Containers in user namespaces, on a share whose directories are closed to everybody but root.
namespace cppvm::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

namespace fs = std::filesystem;

constexpr uid_t first_uid = 100000;
constexpr gid_t first_gid = 200000;

class AgentUserNamespaceTest : public AgentTest {
  protected:
    AgentUserNamespaceTest() {
        for (const auto& entry : fs::recursive_directory_iterator(root())) {
            EXPECT_EQ(::lchown(entry.path().c_str(), first_uid, first_gid), 0);
        }
        EXPECT_EQ(::lchown(root().c_str(), first_uid, first_gid), 0);
        EXPECT_EQ(::chmod((agent.share() / "c1").c_str(), 0700), 0);
        EXPECT_EQ(::chmod(agent.share().c_str(), 0700), 0);
    }

    fs::path root() const { return agent.share() / "c1/rootfs"; }

    static Json
    mount_of(const std::string& type, const std::string& at, Json options = Json::array()) {
        return {{"destination", at}, {"type", type}, {"source", type}, {"options", options}};
    }

    Json spec(const std::string& script) const {
        Json spec = make_script_spec(agent, "c1", script);
        spec["linux"]["namespaces"].push_back({{"type", "user"}});
        spec["linux"]["uidMappings"] = {{{"containerID", 0}, {"hostID", first_uid}, {"size", 1000}}
        };
        spec["linux"]["gidMappings"] = {
            {{"containerID", 0}, {"hostID", first_gid}, {"size", 10}},
            {{"containerID", 10}, {"hostID", 300000}, {"size", 990}}
        };
        spec["mounts"][2]["options"].push_back("gid=5");
        spec["mounts"].push_back(mount_of("sysfs", "/sys", {"ro", "nosuid", "noexec", "nodev"}));
        spec["mounts"].push_back(mount_of("mqueue", "/dev/mqueue", {"nosuid", "noexec", "nodev"}));
        spec["mounts"].push_back(mount_of("tmpfs", "/dev/shm", {"mode=1777", "size=1m"}));
        spec["mounts"].push_back(mount_of("cgroup", "/sys/fs/cgroup", {"ro", "nosuid"}));
        return spec;
    }

    Awaitable<std::string> output_of(HostSide& host, Json spec) {
        const RunResult result = co_await host.run("c1", std::move(spec));
        co_return result.output + result.errors;
    }

    Awaitable<std::string> failure(HostSide& host, Json spec) {
        const Status status = co_await failure_of(host.create("c1", std::move(spec)));
        co_return status.message;
    }
};

TEST_F(AgentUserNamespaceTest, HasAllFileSystemsOfAContainer) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const std::string text = co_await output_of(
            host,
            spec("ls -d /sys/class/net/lo; stat -c '%n %u %g %a' /dev/mqueue /dev/shm /dev; "
                 "ls -d /proc/1; grep -q populated /sys/fs/cgroup/cgroup.events && echo cgroup; "
                 "touch /sys/x 2>&1; touch /made && stat -c '%u %g' /made /bin")
        );
        EXPECT_EQ(
            text,
            "/sys/class/net/lo\n/dev/mqueue 0 0 1777\n/dev/shm 0 0 1777\n"
            "/dev 0 0 755\n/proc/1\ncgroup\ntouch: /sys/x: Read-only file system\n0 0\n0 0\n"
        );
    });
}

TEST_F(AgentUserNamespaceTest, HasDevicesThatBelongToItsUsers) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json mine =
            spec("stat -c '%n %u %g %a %t:%T' /dev/null /dev/mine /d/zero /b/null; "
                 "echo lost > /dev/null && head -c 3 /d/zero | wc -c; chmod 600 /dev/null && "
                 "stat -c %a /dev/null; mknod /dev/shm/n c 1 3 2>&1");
        mine["linux"]["devices"] = {
            {{"path", "/dev/mine"},
             {"type", "c"},
             {"major", 1},
             {"minor", 3},
             {"fileMode", 0640},
             {"uid", 7},
             {"gid", 12}},
            {{"path", "/d/zero"}, {"type", "c"}, {"major", 1}, {"minor", 5}, {"uid", 5000}}
        };
        mine["mounts"].push_back(
            {{"destination", "/b/null"}, {"type", "cppvm-device"}, {"source", "1:3"}}
        );
        const std::string text = co_await output_of(host, std::move(mine));
        // An owner that is not mapped shows as nobody.
        EXPECT_THAT(
            text,
            StartsWith("/dev/null 0 0 666 1:3\n/dev/mine 7 12 640 1:3\n/d/zero 65534 0 666 1:5\n"
                       "/b/null 0 0 666 1:3\n3\n600\n")
        );
        struct stat machines{};
        EXPECT_EQ(::stat("/dev/null", &machines), 0);
        EXPECT_EQ(machines.st_mode & 07777U, 0666U);
    });
}

TEST_F(AgentUserNamespaceTest, MakesCgroupsInOneThatItMayWriteTo) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const std::string look = "cd /sys/fs/cgroup; stat -c %u . cgroup.procs cgroup.events; "
                                 "mkdir sub 2>/dev/null && echo $$ > sub/cgroup.procs && echo made";
        EXPECT_EQ(co_await output_of(host, spec(look)), "65534\n65534\n65534\n");
        Json writable = spec(look);
        writable["mounts"][6]["options"] = {"rw", "nosuid"};
        EXPECT_EQ(co_await output_of(host, std::move(writable)), "0\n0\n65534\nmade\n");
    });
}

TEST_F(AgentUserNamespaceTest, OwnsItsNamespaces) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json owner = spec("hostname; hostname changed && hostname; cat /proc/sys/kernel/msgmax "
                          "/proc/sys/fs/mqueue/"
                          "msg_max; mkdir /m && mount -t tmpfs t /m && echo mounted; "
                          // Flags of the share's are locked.
                          "mount -o remount,bind,dev / 2>/dev/null || grep -c ' / rw,nodev' "
                          "/proc/self/mountinfo; "
                          "cat /proc/self/gid_map");
        owner["hostname"] = "inside";
        owner["linux"]["sysctl"] = {{"kernel.msgmax", "4097"}, {"fs.mqueue.msg_max", "11"}};
        owner["process"]["capabilities"] = {
            {"bounding", {"CAP_SYS_ADMIN"}},
            {"effective", {"CAP_SYS_ADMIN"}},
            {"permitted", {"CAP_SYS_ADMIN"}}
        };
        const std::string text = co_await output_of(host, std::move(owner));
        EXPECT_THAT(
            text,
            AllOf(
                StartsWith("inside\nchanged\n4097\n11\nmounted\n1\n"),
                HasSubstr("10     300000        990")
            )
        );
    });
}

TEST_F(AgentUserNamespaceTest, ProtectsWhatIsToBeProtected) {
    std::ofstream(root() / "secret") << "hidden\n";
    run_test([this](HostSide& host) -> Awaitable<> {
        Json closed = spec(
            "cat /secret; ls /sys/kernel; echo x > /proc/sys/kernel/domainname; touch /new 2>&1"
        );
        closed["root"]["readonly"] = true;
        closed["linux"]["maskedPaths"] = {"/secret", "/sys/kernel"};
        closed["linux"]["readonlyPaths"] = {"/proc/sys"};
        for (const char* directory : {"sys", "dev", "proc"}) {
            fs::create_directories(root() / directory);
            EXPECT_EQ(::chown((root() / directory).c_str(), first_uid, first_gid), 0);
        }
        EXPECT_EQ(
            co_await output_of(host, std::move(closed)),
            "touch: /new: Read-only file system\nsh: can't create /proc/sys/kernel/domainname: "
            "Read-only file system\n"
        );
    });
}

TEST_F(AgentUserNamespaceTest, BindsWhatOnlyRootReaches) {
    const fs::path volume = agent.share() / "v";
    fs::create_directory(volume);
    EXPECT_EQ(::chmod(volume.c_str(), 0700), 0);
    EXPECT_EQ(::chown(volume.c_str(), first_uid, first_gid), 0);
    run_test([this, &volume](HostSide& host) -> Awaitable<> {
        Json bound = spec("touch /v/file && stat -c %u /v/file; touch /r/x 2>&1");
        for (const auto& [at, options] :
             {std::pair{"/v", Json{"rbind", "rprivate"}}, std::pair{"/r", Json{"rbind", "ro"}}}) {
            bound["mounts"].push_back(
                {{"destination", at},
                 {"type", "bind"},
                 {"source", volume.native()},
                 {"options", options}}
            );
        }
        EXPECT_EQ(
            co_await output_of(host, std::move(bound)), "0\ntouch: /r/x: Read-only file system\n"
        );
    });
    EXPECT_TRUE(fs::exists(volume / "file"));
}

TEST_F(AgentUserNamespaceTest, GivesStandardStreamsToTheUser) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json user = spec("echo out > /dev/stdout; echo err > /dev/stderr; id -u");
        user["process"]["user"] = {{"uid", 7}, {"gid", 12}};
        RunResult result = co_await host.run("c1", user);
        EXPECT_EQ(result.output + result.errors, "out\n7\nerr\n");
        user["process"]["args"] = {"sleep", "1000"};
        co_await host.create("c1", user);
        co_await host.start("c1");
        Json process = make_process({"sh", "-c", "echo out > /dev/stdout; id -g"});
        process["user"] = {{"uid", 8}, {"gid", 9}};
        result = co_await host.run_exec("c1", "e1", process);
        EXPECT_EQ(result.output + result.errors, "out\n9\n");
        co_await host.signal("c1", SIGKILL);
        co_await host.wait("c1");
        co_await host.remove("c1");
    });
}

TEST_F(AgentUserNamespaceTest, HasAConsole) {
    run_test([this](HostSide& host) -> Awaitable<> {
        auto [id, output] = co_await host.open_stream();
        agent::v2::Stdio stdio;
        stdio.set_terminal(true);
        stdio.set_stdout_stream(id);
        Json terminal = spec("tty; stat -c '%u %g' /dev/pts/0; echo x > /dev/console && echo y");
        terminal["process"]["terminal"] = true;
        co_await host.create("c1", terminal, stdio);
        co_await host.start("c1");
        EXPECT_EQ(co_await read_stream(output), "/dev/pts/0\r\n0 5\r\nx\r\ny\r\n");
        co_await host.wait("c1");
        co_await host.remove("c1");
    });
}

TEST_F(AgentUserNamespaceTest, TellsWhatTheMachinesRootCouldNotDo) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json broken = spec("true");
        broken["linux"]["sysctl"] = {{"net.nope", "1"}};
        EXPECT_THAT(co_await failure(host, broken), HasSubstr("open /proc/sys/net/nope"));

        broken = spec("true");
        broken["root"]["path"] = (agent.share() / "nope").native();
        EXPECT_THAT(co_await failure(host, broken), HasSubstr("root.path: open"));

        broken = spec("true");
        broken["mounts"].push_back(
            {{"destination", "/v"}, {"type", "bind"}, {"source", (agent.share() / "nope").native()}}
        );
        EXPECT_THAT(co_await failure(host, broken), HasSubstr("bind mount /v: open"));

        broken = spec("true");
        broken["mounts"].push_back(mount_of("nopefs", "/v"));
        EXPECT_THAT(
            co_await failure(host, broken),
            HasSubstr("open file system 'nopefs' for mount /v: No such device")
        );

        broken = spec("true");
        broken["mounts"].push_back(
            {{"destination", "/v"}, {"type", "cppvm-device"}, {"source", "1:200"}}
        );
        EXPECT_THAT(co_await failure(host, broken), HasSubstr("no character device 1:200"));
    });
}

TEST_F(AgentUserNamespaceTest, RefusesMappingsThatMakeNoSense) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json broken = spec("true");
        broken["linux"]["gidMappings"] = {{{"containerID", 1}, {"hostID", 5}, {"size", 9}}};
        EXPECT_EQ(
            co_await failure(host, broken),
            "linux.gidMappings: must map the id 0 of the container, whose root sets it up"
        );
        broken = spec("true");
        broken["mounts"].push_back(mount_of("tmpfs", "/t", {"uid=1000"}));
        EXPECT_EQ(
            co_await failure(host, broken),
            "mounts[7].options.uid=1000: is not mapped by linux.uidMappings"
        );
    });
}

} // namespace
} // namespace cppvm::testing
