#include "common/base/error.hpp"
#include "common/os/child_process.hpp"
#include "common/os/file.hpp"
#include "common/os/pipe.hpp"
#include "host/cgroup/hierarchy.hpp"
#include "host/rundir/leftovers.hpp"
#include "host/rundir/run_dir_lock.hpp"
#include "tests/integration/shim/harness.hpp"

#include <algorithm>
#include <array>
#include <climits>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

namespace cppvm::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

/// Each test makes one step of `start` fail; after all of them everything must be as it was.
class StartFailureTest : public ShimTest {
  protected:
    void expect_failure(const ShimRun& run, const std::string& text) const {
        const Outcome outcome = run_shim(run);
        EXPECT_EQ(outcome.exit_code, 1);
        EXPECT_THAT(outcome.output, AllOf(StartsWith("cppvm: "), HasSubstr(text), EndsWith("\n")));
        EXPECT_EQ(std::count(outcome.output.begin(), outcome.output.end(), '\n'), 1)
            << outcome.output;
        expect_nothing_left("c1");
    }

    void expect_failure(const std::string& text) const {
        expect_failure(start_run("c1", params_input("c1")), text);
        EXPECT_THAT(bundle_files("c1"), ElementsAre("config.json", "log", "rootfs"));
    }

    ShimRun with(const std::string& flag, const std::string& value) const {
        ShimRun run = start_run("c1", params_input("c1"));
        *(std::find(run.arguments.begin(), run.arguments.end(), flag) + 1) = value;
        return run;
    }
};

TEST_F(StartFailureTest, CommandLine) {
    make_bundle("c1");
    expect_failure(with("-namespace", ""), "namespace: must not be empty");
    expect_failure(with("-namespace", "a/b"), "namespace \"a/b\": must be letters and digits");
    expect_failure(with("-id", "../x"), "id \"../x\": must be letters and digits");
    expect_failure(with("-id", "a\nb"), "id \"a?b\": must be letters and digits");
    expect_failure(with("-id", std::string(200, 'x')), "has 200 characters, at most 76");
    expect_failure(with("-address", ""), "containerd address \"\"");
    ShimRun run = start_run("c1", params_input("c1"));
    run.arguments.insert(run.arguments.begin(), "-unheard-of");
    expect_failure(run, "unknown flag -unheard-of");
    EXPECT_THAT(bundle_files("c1"), ElementsAre("config.json", "log", "rootfs"));
}

TEST_F(StartFailureTest, BundleIsMissing) {
    make_bundle("c1");
    ShimRun run = start_run("c1", params_input("c1"));
    run.arguments.insert(run.arguments.end() - 1, {"-bundle", (dir_ / "none").native()});
    expect_failure(run, "bundle " + (dir_ / "none").native() + ": no such directory");
}

TEST_F(StartFailureTest, InputIsNoise) {
    make_bundle("c1");
    std::string noise(1024UL * 1024, '\xfe');
    expect_failure(
        start_run("c1", noise), "1048576 bytes that are neither BootstrapParams nor runtime options"
    );
    expect_failure(
        start_run("c1", legacy_input("x\n\x1b[31m.toml")),
        "ConfigPath \"x??[31m.toml\" must be an absolute path"
    );
    expect_failure(start_run("c1", std::string(11UL * 1024 * 1024, 'x')), "larger than the limit");
}

TEST_F(StartFailureTest, ConfigJsonIsBroken) {
    make_bundle("c1", "{\"x\": ");
    expect_failure("config.json: not valid JSON at byte");
}

TEST_F(StartFailureTest, ConfigJsonIsHuge) {
    make_bundle("c1", std::string(20UL * 1024 * 1024, ' '));
    expect_failure("config.json: larger than the limit of 16777216 bytes");
}

TEST_F(StartFailureTest, ConfigurationIsMissing) {
    make_bundle("c1");
    std::filesystem::remove(dir_ / "config.toml");
    expect_failure("config.toml: no such file; correct ConfigPath");
}

TEST_F(StartFailureTest, ConfigurationIsWrong) {
    make_bundle("c1");
    dir_.write("config.toml", "[vm]\nvcpus = 0\n");
    expect_failure("config.toml:2: vm.vcpus is 0, must be from 1 to 512");
}

TEST_F(StartFailureTest, SocketDirectoryIsAFile) {
    make_bundle("c1");
    dir_.write("s", "");
    expect_failure((dir_ / "s").native() + ": Not a directory");
}

TEST_F(StartFailureTest, SocketDirectoryIsTooLong) {
    make_bundle("c1");
    socket_dir_ = "/run/" + std::string(60, 'x');
    expect_failure("must be an absolute path of at most 42 bytes");
}

TEST_F(StartFailureTest, SandboxIsGone) {
    make_bundle("c1", pod_config("container", "pod1"));
    expect_failure("container c1 belongs to sandbox pod1, whose shim is no longer running");
    expect_nothing_left("pod1");
}

TEST_F(StartFailureTest, SandboxIdIsNone) {
    make_bundle("c1", pod_config("container", "../../x"));
    expect_failure("annotation io.kubernetes.cri.sandbox-id in");
}

TEST_F(StartFailureTest, BundleIsReadOnly) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "needs root to mount";
    }
    const auto path = make_bundle("c1");
    ASSERT_EQ(::mount(path.c_str(), path.c_str(), nullptr, MS_BIND, nullptr), 0);
    ASSERT_EQ(
        ::mount(nullptr, path.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr), 0
    );
    expect_failure("Read-only file system");
    ASSERT_EQ(::umount2(path.c_str(), MNT_DETACH), 0);
}

TEST_F(StartFailureTest, RunDirectoryCannotBeMade) {
    make_bundle("c1");
    dir_.write("run", "a file");
    const Outcome outcome = start("c1");
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.output, HasSubstr((dir_ / "run").native()));
    expect_nothing_left("c1");
    EXPECT_THAT(bundle_files("c1"), ElementsAre("config.json", "log", "rootfs"));
}

TEST_F(StartFailureTest, RunDirectoryIsHeldByAnother) {
    make_bundle("c1");
    auto other = RunDirLock::take(run_dir("c1"));
    const Outcome outcome = start("c1");
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.output, HasSubstr("its run directory is held by another process"));
    EXPECT_TRUE(std::filesystem::exists(run_dir("c1"))) << "it was another's";
    other->remove();
    expect_nothing_left("c1");
    EXPECT_THAT(bundle_files("c1"), ElementsAre("config.json", "log", "rootfs"));
}

TEST_F(StartFailureTest, AddressCannotBeWritten) {
    make_bundle("c1");
    std::filesystem::create_directories(bundle("c1") / "address/x");
    const Outcome outcome = start("c1");
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.output, HasSubstr("address"));
    expect_nothing_left("c1");
    EXPECT_THAT(bundle_files("c1"), ElementsAre("address", "config.json", "log", "rootfs"));
}

TEST_F(StartFailureTest, ShimRunsAlready) {
    make_bundle("c1");
    ASSERT_EQ(start("c1").exit_code, 0);
    const auto first = daemon("c1");
    const Outcome outcome = start("c1");
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.output, HasSubstr("a shim for this id is already running"));
    EXPECT_EQ(daemon("c1"), first);
    EXPECT_EQ(read_file(bundle("c1") / "address", 1024), socket_address("c1"));
    EXPECT_EQ(remove("c1").exit_code, 0);
    expect_nothing_left("c1");
}

TEST_F(StartFailureTest, DaemonWithoutStart) {
    ShimRun run = start_run("c1", "");
    run.arguments.pop_back();
    run.directory = "/";
    expect_failure(run, "which alone launches the daemon");
}

/// `start` as a process whose standard output the test chooses.
class StartOutputTest : public ShimTest {
  protected:
    ChildSpec spec(int output) {
        const ShimRun run = start_run("c1", "");
        input_ = open_file(dir_.write("input", params_input("c1")), O_RDONLY);
        ChildSpec spec;
        spec.arguments = {"/usr/bin/env", "-C", run.directory.native(), CPPVM_FAKE_SHIM};
        spec.arguments.insert(spec.arguments.end(), run.arguments.begin(), run.arguments.end());
        spec.descriptors = {{input_.get(), 0}, {output, 1}};
        return spec;
    }

    UniqueFd input_;
    asio::io_context loop_;
};

TEST_F(StartOutputTest, UndoesAllWhenTheAnswerCannotBeWritten) {
    make_bundle("c1");
    const UniqueFd full = open_file("/dev/full", O_WRONLY);
    {
        ChildProcess child(loop_.get_executor(), spec(full.get()));
        const UniqueFd pidfd = open_pidfd(child.id());
        ASSERT_TRUE(wait_pidfd(pidfd.get(), 10'000));
    }
    expect_nothing_left("c1");
    EXPECT_THAT(bundle_files("c1"), ElementsAre("config.json", "log", "rootfs"));
}

// The cgroup's directories, in all hierarchies.
std::vector<std::filesystem::path> cgroups_named(const std::filesystem::path& location) {
    std::vector<std::filesystem::path> found;
    for (const auto& hierarchy : cgroup::find_hierarchies()) {
        if (!location.empty() && std::filesystem::exists(hierarchy.root / location)) {
            found.push_back(hierarchy.root / location);
        }
    }
    return found;
}

/// A `start` that is held at its last step but one, when the daemon is up.
class StartHeldTest : public StartOutputTest {
  protected:
    StartHeldTest() {
        const std::string filling(4096, 'x');
        while (::write(output_.write.get(), filling.data(), filling.size()) > 0) {
        }
        set_nonblocking(output_.write.get(), false); // a pipe without room
    }

    // Its daemon, which is ready.
    ProcessId wait_held() {
        EXPECT_TRUE(wait_until([&] {
            return std::filesystem::exists(bundle("c1") / "address") && daemon("c1").has_value();
        }));
        return daemon("c1").value_or(ProcessId{});
    }

    void make_room() {
        std::array<char, 65536> buffer{};
        while (::read(output_.read.get(), buffer.data(), buffer.size()) > 0) {
        }
    }

    Pipe output_ = make_pipe("start", O_NONBLOCK);
};

TEST_F(StartHeldTest, LeavesNoDaemonWhenItIsKilled) {
    make_bundle("c1");
    {
        const ChildProcess child(loop_.get_executor(), spec(output_.write.get()));
        wait_held();
        EXPECT_FALSE(std::filesystem::exists(bundle("c1") / "report")) << "it serves too early";
    } // SIGKILL
    expect_nothing_left("c1");
    EXPECT_FALSE(std::filesystem::exists(bundle("c1") / "report"));
}

// containerd never hears of the daemon, so nobody will call `delete`.
TEST_F(StartHeldTest, UndoesWhatItsKilledDaemonLeft) {
    make_bundle("c1");
    std::filesystem::path cgroup;
    {
        ChildProcess child(loop_.get_executor(), spec(output_.write.get()));
        const UniqueFd pidfd = open_pidfd(child.id());
        wait_held();
        if (::geteuid() == 0) {
            cgroup = read_file(cgroup_record(run_dir("c1")), PATH_MAX);
            EXPECT_FALSE(cgroups_named(cgroup).empty());
        }
        kill_daemon("c1");
        make_room();
        ASSERT_TRUE(wait_pidfd(pidfd.get(), 10'000));
    }
    expect_nothing_left("c1");
    EXPECT_THAT(cgroups_named(cgroup), IsEmpty());
    EXPECT_THAT(bundle_files("c1"), ElementsAre("config.json", "log", "rootfs"));
}

// A daemon that does not end by itself is killed.
TEST_F(StartHeldTest, UndoesWhatItsStoppedDaemonLeft) {
    make_bundle("c1");
    {
        ChildProcess child(loop_.get_executor(), spec(output_.write.get()));
        const UniqueFd pidfd = open_pidfd(child.id());
        const UniqueFd daemon = open_pidfd(wait_held());
        signal_pidfd(daemon.get(), SIGSTOP);
        output_.read.reset(); // the answer cannot be written
        ASSERT_TRUE(wait_pidfd(pidfd.get(), 10'000));
    }
    expect_nothing_left("c1");
    EXPECT_THAT(bundle_files("c1"), ElementsAre("config.json", "log", "rootfs"));
}

} // namespace
} // namespace cppvm::testing
