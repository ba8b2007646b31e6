#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/rundir/run_dir_lock.hpp"
#include "host/rundir/task_record.hpp"
#include "proto/containerd/task.pb.h"
#include "proto/cppvm/libvirt.pb.h"
#include "tests/integration/shim/harness.hpp"

#include <ctime>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

namespace cppvm::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class DeleteTest : public ShimTest {
  protected:
    // Runs `delete`, which must succeed in silence and in time.
    containerd::task::v3::DeleteResponse removed(const std::string& id) const {
        const Outcome outcome = remove(id);
        EXPECT_EQ(outcome.exit_code, 0);
        EXPECT_EQ(outcome.errors, "");
        EXPECT_LT(outcome.duration, std::chrono::milliseconds(4900));
        containerd::task::v3::DeleteResponse response;
        EXPECT_TRUE(response.ParseFromString(outcome.output));
        return response;
    }

    void start_as(const std::string& id, const std::string& mode) const {
        ShimRun run = start_run(id, params_input(id));
        run.environment = {"FAKE_SERVE=" + mode};
        const Outcome outcome = run_shim(run);
        ASSERT_EQ(outcome.exit_code, 0) << outcome.output;
        report(id);
        if (mode == "litter") {
            ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(bundle(id) / "littered"); })
            );
        }
    }

    static bool needs_root() { return ::geteuid() != 0; }
};

TEST_F(DeleteTest, EndsADaemonThatRuns) {
    make_bundle("c1");
    start_as("c1", "");
    const auto response = removed("c1");
    EXPECT_EQ(response.exit_status(), 137U);
    EXPECT_NEAR(
        static_cast<double>(response.exited_at().seconds()),
        static_cast<double>(std::time(nullptr)),
        20
    );
    expect_nothing_left("c1");
}

TEST_F(DeleteTest, KillsADaemonThatDoesNotEnd) {
    make_bundle("c1");
    start_as("c1", "stubborn");
    removed("c1");
    expect_nothing_left("c1");
}

TEST_F(DeleteTest, UndoesWhatAKilledDaemonLeft) {
    make_bundle("c1");
    start_as("c1", "litter");
    kill_daemon("c1");
    EXPECT_TRUE(std::filesystem::exists(socket("c1")));
    EXPECT_TRUE(std::filesystem::exists(run_dir("c1") / "console.log"));
    removed("c1");
    expect_nothing_left("c1");
    EXPECT_EQ(
        read_file(dir_ / "helper.log", 4096),
        "qemu:///system destroy " + identity("c1").uuid() + "\n"
    );
}

TEST_F(DeleteTest, SaysThatLibvirtDoesNotAnswer) {
    make_bundle("c1");
    start_as("c1", "litter");
    kill_daemon("c1");
    helper::v1::Response response;
    response.mutable_error()->set_code(static_cast<int>(Code::unavailable));
    response.mutable_error()->set_message("no socket");
    const auto answer = dir_.write("answer", response.SerializeAsString());
    dir_.write("helper", "#!/bin/sh\ncat " + answer.native() + "\nexit 1\n");
    const Outcome outcome = remove("c1");
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_THAT(outcome.errors, HasSubstr("no socket"));
    expect_nothing_left("c1");
}

TEST_F(DeleteTest, DoesNotWaitForALibvirtThatHangs) {
    make_bundle("c1");
    start_as("c1", "litter");
    kill_daemon("c1");
    dir_.write("helper", "#!/bin/sh\nexec sleep 60\n");
    const Outcome outcome = remove("c1");
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_THAT(outcome.errors, HasSubstr("timed out"));
    EXPECT_LT(outcome.duration, std::chrono::milliseconds(4900));
    expect_nothing_left("c1");
}

// On a machine that is much too slow. The helper stops the process that does the work.
TEST_F(DeleteTest, AnswersInTimeAndGoesOn) {
    make_bundle("c1");
    start_as("c1", "litter");
    kill_daemon("c1");
    dir_.write(
        "helper", "#!/bin/sh\n(sleep 6; kill -CONT $PPID) >/dev/null 2>&1 &\nkill -STOP $PPID\n"
    );
    removed("c1");
    EXPECT_TRUE(std::filesystem::exists(run_dir("c1")));
    EXPECT_TRUE(wait_until([&] { return !std::filesystem::exists(socket("c1")); }));
    expect_nothing_left("c1");
}

TEST_F(DeleteTest, TellsHowTheTaskEnded) {
    make_bundle("c1");
    const auto at =
        std::chrono::system_clock::time_point(std::chrono::nanoseconds(1'700'000'000'123'456'789));
    write_task_record(bundle("c1"), {42, TaskRecord::Exit{3, at}});
    const auto response = removed("c1");
    EXPECT_EQ(response.pid(), 42U);
    EXPECT_EQ(response.exit_status(), 3U);
    EXPECT_EQ(response.exited_at().seconds(), 1'700'000'000);
    EXPECT_EQ(response.exited_at().nanos(), 123'456'789);
}

TEST_F(DeleteTest, TellsThePidOfATaskThatRan) {
    make_bundle("c1");
    write_task_record(bundle("c1"), {42, std::nullopt});
    const auto response = removed("c1");
    EXPECT_EQ(response.pid(), 42U);
    EXPECT_EQ(response.exit_status(), 137U);
}

TEST_F(DeleteTest, MayBeRepeated) {
    make_bundle("c1");
    start_as("c1", "");
    removed("c1");
    removed("c1");
    expect_nothing_left("c1");
}

TEST_F(DeleteTest, WorksWithNothingAtAll) {
    removed("never"); // no bundle
    make_bundle("bare", "");
    removed("bare"); // no config.json
    make_bundle("broken", "{");
    dir_.write("bundles/broken/cppvm-start.json", "{");
    dir_.write("bundles/broken/cppvm-task.json", "{");
    removed("broken");
}

TEST_F(DeleteTest, IsQuickWhenThereIsNothingToDo) {
    make_bundle("c1");
    EXPECT_LT(remove("c1").duration, std::chrono::seconds(1));
}

TEST_F(DeleteTest, RefusesUnusableNames) {
    const Outcome outcome = run_shim(
        {.arguments = {"-namespace", "", "-address", address(), "-id", "x", "delete"},
         .combine = false}
    );
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.errors, HasSubstr("namespace: must not be empty"));
}

TEST_F(DeleteTest, LeavesThePodToItsSandbox) {
    make_bundle("pod1", pod_config("sandbox", "pod1"));
    make_bundle("app1", pod_config("container", "pod1"));
    start_as("pod1", "litter");
    ASSERT_EQ(start("app1").exit_code, 0);
    const auto pods_daemon = daemon("pod1");
    removed("app1");
    EXPECT_EQ(daemon("pod1"), pods_daemon);
    EXPECT_TRUE(shim::ShimSocket::is_live(socket("pod1")));
    // Nor with only config.json to tell, or a dead daemon.
    std::filesystem::remove(bundle("app1") / "cppvm-start.json");
    removed("app1");
    EXPECT_EQ(daemon("pod1"), pods_daemon);
    kill_daemon("pod1");
    removed("app1");
    EXPECT_TRUE(std::filesystem::exists(run_dir("pod1") / "console.log"));
    removed("pod1");
    expect_nothing_left("pod1");
}

TEST_F(DeleteTest, EndsAGroupOnlyWhenItsDaemonIsDead) {
    make_bundle("m1", group_config("g"));
    make_bundle("m2", group_config("g"));
    start_as("m1", "litter");
    ASSERT_EQ(start("m2").exit_code, 0);
    const auto groups_daemon = daemon("g");
    ASSERT_TRUE(groups_daemon);
    removed("m1");
    EXPECT_EQ(daemon("g"), groups_daemon);
    kill_daemon("g");
    removed("m2");
    expect_nothing_left("g");
}

TEST_F(DeleteTest, SaysThatTheLockIsHeldForGood) {
    make_bundle("c1");
    make_bundle("c2");
    auto other = RunDirLock::take(run_dir("c1"));
    start_as("c2", "");
    // The record of another bundle tells the configuration; no pid file tells the holder.
    std::filesystem::copy_file(
        bundle("c2") / "cppvm-start.json", bundle("c1") / "cppvm-start.json"
    );
    std::string text = read_file(bundle("c1") / "cppvm-start.json", 65536);
    for (auto at = text.find("c2"); at != std::string::npos; at = text.find("c2", at)) {
        text.replace(at, 2, "c1");
    }
    dir_.write("bundles/c1/cppvm-start.json", text);
    const Outcome outcome = remove("c1");
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_THAT(outcome.errors, HasSubstr("still held"));
    EXPECT_LT(outcome.duration, std::chrono::milliseconds(4900));
    other->remove();
    removed("c2");
}

TEST_F(DeleteTest, UnmountsTheRootfs) {
    if (needs_root()) {
        GTEST_SKIP() << "needs root to mount";
    }
    const auto rootfs = make_bundle("c1") / "rootfs";
    for (int i = 0; i < 3; ++i) {
        ASSERT_EQ(::mount("none", rootfs.c_str(), "tmpfs", 0, nullptr), 0);
    }
    removed("c1");
    dir_.write("bundles/c1/rootfs/probe", "");
    EXPECT_EQ(::umount2(rootfs.c_str(), UMOUNT_NOFOLLOW), -1) << "something is mounted";
}

TEST_F(DeleteTest, AsksLibvirtLast) {
    if (needs_root()) {
        GTEST_SKIP() << "needs root to mount";
    }
    const auto rootfs = make_bundle("c1") / "rootfs";
    start_as("c1", "litter");
    kill_daemon("c1");
    ASSERT_EQ(::mount("none", rootfs.c_str(), "tmpfs", 0, nullptr), 0);
    // containerd kills a delete that waits for libvirtd for too long: what is there when libvirtd
    // is asked would stay.
    const auto seen = dir_ / "seen";
    dir_.write(
        "helper",
        "#!/bin/sh\ngrep -F " + dir_.path().native() + " /proc/self/mountinfo >" + seen.native() +
            "\nls " + run_dir("c1").native() + " >>" + seen.native() + "\n"
    );
    removed("c1");
    const std::string left = read_file(seen, 4096);
    EXPECT_THAT(left, Not(HasSubstr("rootfs")));
    EXPECT_THAT(left, Not(HasSubstr("share")));
    EXPECT_THAT(left, HasSubstr("console.log"));
    expect_nothing_left("c1");
}

TEST_F(DeleteTest, NeverRemovesWhatIsMounted) {
    if (needs_root()) {
        GTEST_SKIP() << "needs root to mount";
    }
    make_bundle("c1");
    start_as("c1", "litter");
    kill_daemon("c1");
    // The share's mounts are in namespaces that have gone: whatever is there is somebody else's.
    const auto precious = dir_.write("precious/file", "text");
    const auto share = run_dir("c1") / "share";
    ASSERT_EQ(::mount((dir_ / "precious").c_str(), share.c_str(), nullptr, MS_BIND, nullptr), 0);
    const auto elsewhere = run_dir("c1") / "elsewhere";
    std::filesystem::create_directory(elsewhere);
    ASSERT_EQ(
        ::mount((dir_ / "precious").c_str(), elsewhere.c_str(), nullptr, MS_BIND, nullptr), 0
    );
    const Outcome outcome = remove("c1");
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_THAT(outcome.errors, HasSubstr("still mounted"));
    EXPECT_TRUE(std::filesystem::exists(precious));
    ASSERT_EQ(::umount2(share.c_str(), 0), 0);
    ASSERT_EQ(::umount2(elsewhere.c_str(), 0), 0);
    removed("c1");
    expect_nothing_left("c1");
    EXPECT_TRUE(std::filesystem::exists(precious));
}

} // namespace
} // namespace cppvm::testing
