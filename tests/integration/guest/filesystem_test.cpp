#include "common/os/file.hpp"
#include "tests/integration/guest/agent_test.hpp"

#include <csignal>
#include <fstream>

namespace cppvm::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

namespace fs = std::filesystem;

void write_file(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
}

class AgentFilesystemTest : public AgentTest {
  protected:
    fs::path root() const { return agent.share() / "c1/rootfs"; }
    fs::path volume() const { return agent.share() / "c1/mounts/0"; }

    Json bind(const std::string& destination, const std::string& option) const {
        return {
            {"destination", destination},
            {"type", "bind"},
            {"source", volume().native()},
            {"options", {"rbind", "rprivate", option}}
        };
    }

    /// Output of a script in the container, and its exit status if that is not 0.
    Awaitable<std::string> output_of(HostSide& host, Json spec) {
        const RunResult result = co_await host.run("c1", std::move(spec));
        co_return result.output + result.errors +
            (result.status == 0 ? "" : "exit " + std::to_string(result.status));
    }

    Awaitable<Status> create_failure(HostSide& host, Json spec) {
        co_return co_await failure_of(host.create("c1", std::move(spec)));
    }
};

TEST_F(AgentFilesystemTest, BindsDirectoriesReadWriteAndReadOnly) {
    write_file(volume() / "file", "from host\n");
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec =
            make_script_spec(agent, "c1", "cat /a/b/file; echo new > /a/b/made; cat /a/b/made");
        spec["mounts"].push_back(bind("/a/b", "rw"));
        std::string text = co_await output_of(host, spec);
        EXPECT_EQ(text, "from host\nnew\n");
        EXPECT_TRUE(fs::exists(volume() / "made"));
        spec = make_script_spec(agent, "c1", "cat /a/b/file; touch /a/b/x");
        spec["mounts"].push_back(bind("/a/b", "ro"));
        text = co_await output_of(host, spec);
        EXPECT_THAT(text, HasSubstr("from host\n"));
        EXPECT_THAT(text, HasSubstr("Read-only file system"));
    });
}

TEST_F(AgentFilesystemTest, BindsFilesAndSeesTheHostsChanges) {
    write_file(volume(), "one\n");
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_spec(agent, "c1", {"sleep", "1000"});
        spec["mounts"].push_back(bind("/etc/conf.d/file", "ro"));
        co_await host.create("c1", spec);
        co_await host.start("c1");
        RunResult result =
            co_await host.run_exec("c1", "e1", make_process({"cat", "/etc/conf.d/file"}));
        EXPECT_EQ(result.output, "one\n");
        write_file(volume(), "two\n");
        result = co_await host.run_exec("c1", "e2", make_process({"cat", "/etc/conf.d/file"}));
        EXPECT_EQ(result.output, "two\n");
        co_await host.signal("c1", SIGKILL);
        co_await host.wait("c1");
        co_await host.remove("c1");
    });
}

TEST_F(AgentFilesystemTest, AppliesMountFlags) {
    fs::create_directories(volume());
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_script_spec(agent, "c1", "grep ' /v ' /proc/self/mountinfo");
        spec["mounts"].push_back(
            {{"destination", "/v"},
             {"source", volume().native()},
             {"type", "none"},
             {"options", {"bind", "nosuid", "nodev", "noexec", "noatime", "rslave"}}}
        );
        std::string text = co_await output_of(host, spec);
        EXPECT_THAT(text, HasSubstr("rw,nosuid,nodev,noexec,noatime"));
        spec = make_script_spec(agent, "c1", "grep ' /v ' /proc/self/mountinfo; stat -c %a /v");
        spec["mounts"].push_back(
            {{"destination", "/v"},
             {"source", "tmpfs"},
             {"type", "tmpfs"},
             {"options", {"ro", "size=64k", "mode=1770"}}}
        );
        text = co_await output_of(host, spec);
        EXPECT_THAT(text, HasSubstr("ro,relatime"));
        EXPECT_THAT(text, HasSubstr("size=64k"));
        EXPECT_THAT(text, HasSubstr("1770\n"));
    });
}

TEST_F(AgentFilesystemTest, MakesSubmountsReadOnlyWhereAsked) {
    fs::create_directories(volume());
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_script_spec(agent, "c1", "mount -t tmpfs t /x && touch /x/y && echo made");
        spec["mounts"].push_back(bind("/x", "rro"));
        const std::string text = co_await output_of(host, spec);
        EXPECT_THAT(text, Not(HasSubstr("made"))); // also: no CAP_SYS_ADMIN without capabilities
    });
}

TEST_F(AgentFilesystemTest, LeavesTheFlagsOfAVolumeToItAlone) {
    write_file(volume() / "file", "");
    write_file(volume() / "of-the-volume", "");
    fs::create_directory_symlink("/", volume() / "link");
    run_test([this](HostSide& host) -> Awaitable<> {
        const char* const script = "echo x > /x/file; echo y >> /x/file; cat /x/file; "
                                   "for f in new of-the-volume link/tmp/y; do "
                                   "echo y 2>/dev/null > /x/$f || echo no $f; done";
        const std::size_t before = agent.mounts();
        agent::v2::CreateContainerRequest request;
        // Twice, and what is gone, leads elsewhere, or is not on the share: left as it is.
        const std::string outside = agent.share().parent_path();
        const std::string top = volume().native() + "/";
        for (const std::string& path :
             {top + "file", top + "file", top + "gone", top + "link/etc", outside, top + "../.."}) {
            request.add_submounts(path);
        }
        Json spec = make_script_spec(agent, "c1", script);
        spec["mounts"].push_back(bind("/x", "ro"));
        const RunResult result = co_await host.run("c1", std::move(spec), "", std::move(request));
        EXPECT_EQ(result.output, "x\ny\nno new\nno of-the-volume\nno link/tmp/y\n");
        EXPECT_EQ(agent.mounts(), before + 1); // bound over itself once, until the file goes
        fs::remove(volume() / "file");
    });
}

TEST_F(AgentFilesystemTest, MakesTheRootReadOnly) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_script_spec(agent, "c1", "touch /file; touch /dev/shm-like && echo ok");
        spec["root"]["readonly"] = true;
        const std::string text = co_await output_of(host, spec);
        EXPECT_THAT(text, HasSubstr("touch: /file: Read-only file system"));
        EXPECT_THAT(text, HasSubstr("ok\n")); // mounts in it are not
        EXPECT_FALSE(fs::exists(root() / "file"));
    });
}

TEST_F(AgentFilesystemTest, MasksAndProtectsPaths) {
    write_file(root() / "secret/file", "hidden\n");
    write_file(root() / "plain", "hidden\n");
    write_file(root() / "fixed/file", "seen\n");
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_script_spec(
            agent,
            "c1",
            "ls /secret; cat /plain; cat /fixed/file; touch /secret/x /fixed/x; echo 1 > "
            "/proc/sys/vm/swappiness"
        );
        spec["linux"]["maskedPaths"] = {"/secret", "/plain", "/not/there", "/plain/below"};
        spec["linux"]["readonlyPaths"] = {"/fixed", "/proc/sys", "/nope"};
        const std::string text = co_await output_of(host, spec);
        EXPECT_THAT(text, Not(HasSubstr("hidden")));
        EXPECT_THAT(text, HasSubstr("seen\n"));
        EXPECT_THAT(text, HasSubstr("/secret/x: Read-only file system"));
        EXPECT_THAT(text, HasSubstr("/fixed/x: Read-only file system"));
        EXPECT_THAT(text, HasSubstr("swappiness: Read-only file system"));
    });
}

TEST_F(AgentFilesystemTest, MakesDevicesAndLinks) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_script_spec(
            agent,
            "c1",
            "for d in null zero full random urandom tty extra; do "
            "stat -c '%n %F %t %T %a' /dev/$d; done; "
            "for l in ptmx fd stdin stdout stderr; do readlink /dev/$l; done; head -c 3 /dev/zero "
            "| "
            "wc -c"
        );
        spec["linux"]["devices"] = {
            {{"path", "/dev/extra"}, {"type", "c"}, {"major", 1}, {"minor", 3}, {"fileMode", 0640}}
        };
        const std::string text = co_await output_of(host, spec);
        EXPECT_EQ(
            text,
            "/dev/null character special file 1 3 666\n"
            "/dev/zero character special file 1 5 666\n"
            "/dev/full character special file 1 7 666\n"
            "/dev/random character special file 1 8 666\n"
            "/dev/urandom character special file 1 9 666\n"
            "/dev/tty character special file 5 0 666\n"
            "/dev/extra character special file 1 3 640\n"
            "pts/ptmx\n/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\n3\n"
        );
    });
}

TEST_F(AgentFilesystemTest, RunsInABareRootfs) {
    // Neither /etc nor /dev nor /proc, and no mounts in the spec either.
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_script_spec(
            agent,
            "c1",
            "pwd; echo lost > /dev/null; head -c 2 /dev/zero | wc -c; test -e /proc/1 || echo none"
        );
        spec["mounts"] = Json::array();
        spec["process"]["cwd"] = "/made/for/it";
        const std::string text = co_await output_of(host, spec);
        EXPECT_EQ(text, "/made/for/it\n2\nnone\n");
    });
}

TEST_F(AgentFilesystemTest, LeavesNothingOfTheAgentsRootInside) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const std::string text = co_await output_of(
            host,
            make_script_spec(
                agent,
                "c1",
                "cd ../../..; ls; wc -l < /proc/self/mountinfo; ls /proc/self/fd | wc -l"
            )
        );
        // rootfs, proc, dev, pts; 0 to 2 and what ls itself opens.
        EXPECT_EQ(text, "bin\ndev\nproc\n4\n4\n");
    });
}

TEST_F(AgentFilesystemTest, FollowsLinksOfTheImageInsideOnly) {
    write_file(volume(), "mounted\n");
    write_file(agent.share() / "outside/victim", "victim\n");
    fs::create_directories(root() / "etc");
    fs::create_directories(root() / "run");
    // As an image would point at files of the guest, by absolute and relative ways.
    fs::create_symlink(agent.share() / "outside", root() / "abs");
    fs::create_symlink(
        "../../../../../../../../" + (agent.share() / "outside").native(), root() / "rel"
    );
    fs::create_symlink("../run/resolve/resolv.conf", root() / "etc/resolv.conf"); // dangles
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_script_spec(
            agent, "c1", "cat /abs/victim /rel/victim /etc/resolv.conf /run/resolve/resolv.conf"
        );
        spec["mounts"].push_back(bind("/abs/victim", "ro"));
        spec["mounts"].push_back(bind("/rel/victim", "ro"));
        spec["mounts"].push_back(bind("/etc/resolv.conf", "ro"));
        const std::string text = co_await output_of(host, spec);
        EXPECT_EQ(text, "mounted\nmounted\nmounted\nmounted\n");
        EXPECT_EQ(read_file(agent.share() / "outside/victim", 100), "victim\n");
        // What was missing was made inside.
        EXPECT_TRUE(fs::exists(root() / (agent.share() / "outside/victim").relative_path()));
    });
}

TEST_F(AgentFilesystemTest, LooksAgainAtWhateverItIsTold) {
    const fs::path root = agent.share() / "c1/rootfs";
    fs::create_directory_symlink("/", root / "link");
    fs::create_directory(root / "empty");
    run_test([this, &root](HostSide& host) -> Awaitable<> {
        agent::v2::LookAgainRequest request;
        for (const fs::path& path :
             {fs::path(),
              fs::path("/"),
              fs::path("/etc/passwd"),
              agent.share(),
              agent.share() / "nowhere/file",
              root / "bin/busybox",
              root / "bin/busybox/below",
              root / "link/etc/passwd",
              root / "../../..",
              root / "empty/" / std::string(300, 'x'),
              root / "empty/missing"}) {
            request.add_paths(path.native());
        }
        co_await host.rpc().look_again(request);
        EXPECT_TRUE(fs::is_empty(root / "empty"));
        const RunResult result = co_await host.run("c1", make_spec(agent, "c1", {"true"}));
        EXPECT_EQ(result.status, 0U);
    });
}

TEST_F(AgentFilesystemTest, RefusesLinksThroughProc) {
    fs::create_directories(volume());
    fs::create_symlink("/proc/self/attr", root() / "attr");
    fs::create_symlink("/proc/self/fd/3", root() / "magic");
    fs::create_symlink("/loop", root() / "loop");
    run_test([this](HostSide& host) -> Awaitable<> {
        for (const auto& [target, words] :
             {std::pair("/attr", "inside of procfs"),
              std::pair("/proc/sys", "inside of procfs"),
              std::pair("/magic/x", "/magic/x"),
              std::pair("/loop/x", "/loop/x")}) {
            Json spec = make_spec(agent, "c1", {"true"});
            spec["mounts"].push_back(bind(target, "rw"));
            const Status status = co_await create_failure(host, spec);
            EXPECT_NE(status.code, Code::ok) << target;
            EXPECT_THAT(status.message, HasSubstr(words));
        }
    });
}

TEST_F(AgentFilesystemTest, RefusesSourcesOutsideOfTheShare) {
    fs::create_directories(volume());
    fs::create_symlink("/", agent.share() / "c1/link");
    run_test([this](HostSide& host) -> Awaitable<> {
        const std::string share = agent.share().native();
        for (const std::string& source :
             {std::string("/"),
              std::string("/etc"),
              share,
              share + "/../..",
              share + "/c1/link",
              share + "/c1/link/etc",
              std::string("relative")}) {
            Json spec = make_spec(agent, "c1", {"true"});
            Json mount = bind("/v", "rw");
            mount["source"] = source;
            spec["mounts"].push_back(mount);
            Status status = co_await create_failure(host, spec);
            EXPECT_NE(status.code, Code::ok) << source;
            spec = make_spec(agent, "c1", {"true"});
            spec["root"]["path"] = source;
            status = co_await create_failure(host, spec);
            EXPECT_NE(status.code, Code::ok) << source;
        }
    });
}

TEST_F(AgentFilesystemTest, MountsTheContainersOwnCgroup) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_script_spec(
            agent, "c1", "cat /sys/fs/cgroup/cgroup.procs; echo 1 > /sys/fs/cgroup/cgroup.kill"
        );
        spec["mounts"].push_back({{"destination", "/sys"}, {"type", "tmpfs"}, {"source", "tmpfs"}});
        spec["mounts"].push_back(
            {{"destination", "/sys/fs/cgroup"},
             {"type", "cgroup"},
             {"source", "cgroup"},
             {"options", {"nosuid", "noexec", "nodev", "relatime", "ro"}}}
        );
        const std::string text = co_await output_of(host, spec);
        EXPECT_THAT(text, HasSubstr("1\n"));
        EXPECT_THAT(text, HasSubstr("Read-only file system"));
    });
}

TEST_F(AgentFilesystemTest, RemovesNestedCgroupsToo) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_script_spec(
            agent,
            "c1",
            "mkdir -p /cg/a/b && echo $$ > /cg/a/b/cgroup.procs && cat /proc/self/cgroup | grep ^0"
        );
        spec["mounts"].push_back(
            {{"destination", "/cg"}, {"type", "cgroup2"}, {"source", "cgroup2"}}
        );
        const std::string text = co_await output_of(host, spec);
        EXPECT_EQ(text, "0::/a/b\n");
    });
}

} // namespace
} // namespace cppvm::testing
