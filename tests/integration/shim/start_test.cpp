#include "common/os/file.hpp"
#include "host/shim/start_record.hpp"
#include "proto/containerd/bootstrap.pb.h"
#include "proto/containerd/types.pb.h"
#include "tests/integration/shim/harness.hpp"

#include <fcntl.h>
#include <thread>
#include <unistd.h>

namespace cppvm::testing {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class StartTest : public ShimTest {
  protected:
    void end(const std::string& id) const {
        const Outcome outcome = remove(id);
        EXPECT_EQ(outcome.exit_code, 0);
        EXPECT_EQ(outcome.errors, "");
        expect_nothing_left(id);
    }
};

TEST_F(StartTest, AnswersABootstrapResult) {
    make_bundle("c1");
    const Outcome outcome = start("c1");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
    containerd::runtime::bootstrap::v1::BootstrapResult result;
    ASSERT_TRUE(result.ParseFromString(outcome.output));
    EXPECT_EQ(result.version(), 3);
    EXPECT_EQ(result.address(), socket_address("c1"));
    EXPECT_EQ(result.protocol(), "ttrpc");
    EXPECT_THAT(outcome.output, ::testing::EndsWith("ttrpc"));
    EXPECT_EQ(read_file(bundle("c1") / "address", 1024), socket_address("c1"));
    EXPECT_TRUE(shim::ShimSocket::is_live(socket("c1")));
    EXPECT_THAT(report("c1"), HasSubstr("ttrpc /from/params.ttrpc\n"));
    end("c1");
}

TEST_F(StartTest, AnswersThePlainAddressToALegacyAny) {
    socket_dir_ = shim::default_socket_dir;
    make_bundle("c1");
    const Outcome outcome = run_shim(start_run("c1", legacy_input()));
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.output, socket_address("c1"));
    EXPECT_THAT(report("c1"), HasSubstr("ttrpc /from/environment.ttrpc\n"));
    end("c1");
}

TEST_F(StartTest, IsSilentAboutInputThatIsNotText) {
    // As BootstrapParams these options would be a text that is not UTF-8.
    socket_dir_ = shim::default_socket_dir;
    make_bundle("c1");
    const auto config = dir_ / std::string(150, 'd') / "config.toml";
    std::filesystem::create_directory(config.parent_path());
    std::filesystem::copy_file(dir_ / "config.toml", config);
    const Outcome outcome = run_shim(start_run("c1", legacy_input(config)));
    EXPECT_EQ(outcome.exit_code, 0);
    EXPECT_EQ(outcome.output, socket_address("c1"));
    end("c1");
}

TEST_F(StartTest, GivesTheDaemonWhatItNeedsAndNoMore) {
    make_bundle("c1");
    ASSERT_EQ(start("c1").exit_code, 0);
    const std::string text = report("c1");
    EXPECT_THAT(text, HasSubstr("id c1\nsandbox c1\n"));
    EXPECT_THAT(text, HasSubstr("bundle " + bundle("c1").native() + "\n"));
    EXPECT_THAT(text, HasSubstr("cwd " + bundle("c1").native() + "\n"));
    EXPECT_THAT(text, HasSubstr("publish /usr/bin/containerd\n"));
    EXPECT_THAT(text, HasSubstr("vcpus 3\n")); // from the configuration that the options name
    EXPECT_THAT(text, HasSubstr("run_dir " + run_dir("c1").native() + "\n"));
    EXPECT_THAT(text, HasSubstr("session own\n"));
    EXPECT_THAT(text, HasSubstr("umask 18\n"));
    EXPECT_THAT(text, Not(HasSubstr("fd pipe:"))) << "a copy of containerd's pipe was inherited";
    const int own_score = std::stoi(read_file("/proc/self/oom_score_adj", 64));
    EXPECT_THAT(text, HasSubstr("oom " + std::to_string(std::min(own_score + 1, 1000)) + "\n"));
    // Three for /dev/null, listener, lock, socket's inode, log (if anybody reads), the listing's
    // own.
    const auto count = [&](const std::string& what) {
        std::size_t found = 0;
        for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
            ++found;
        }
        return found;
    };
    EXPECT_EQ(count("fd /dev/null\n"), 3U);
    EXPECT_EQ(count("fd socket:"), 1U);
    EXPECT_LE(count("fd "), 8U) << text;
    end("c1");
}

TEST_F(StartTest, IsQuick) {
    // Not a benchmark: says only that nothing waits for anything. 2 s is for a loaded machine.
    make_bundle("c1");
    EXPECT_LT(start("c1").duration, std::chrono::seconds(2));
    end("c1");
}

TEST_F(StartTest, SetsTheLevelOfTheLog) {
    make_bundle("c1");
    const UniqueFd log = open_file(bundle("c1") / "log", O_RDWR | O_NONBLOCK);
    ShimRun run = start_run("c1", params_input("c1"));
    run.arguments.insert(run.arguments.end() - 1, "-debug");
    ASSERT_EQ(run_shim(run).exit_code, 0);
    EXPECT_THAT(report("c1"), HasSubstr("level 1\n"));
    std::string text;
    EXPECT_TRUE(wait_until([&] {
        char buffer[4096];
        const ssize_t count = ::read(log.get(), buffer, sizeof buffer);
        text.append(buffer, count > 0 ? static_cast<std::size_t>(count) : 0);
        return text.find("Fake daemon serves") != std::string::npos;
    }));
    EXPECT_THAT(text, HasSubstr("level=debug msg=\"Daemon started\" namespace=ns sandbox=c1"));
    end("c1");
}

TEST_F(StartTest, WarnsOfOptionsOfAnotherRuntime) {
    make_bundle("c1");
    const UniqueFd log = open_file(bundle("c1") / "log", O_RDWR | O_NONBLOCK);
    ASSERT_EQ(
        run_shim(start_run("c1", params_input("c1", "containerd.runc.v1.Options"))).exit_code, 0
    );
    std::string text;
    EXPECT_TRUE(wait_until([&] {
        char buffer[4096];
        const ssize_t count = ::read(log.get(), buffer, sizeof buffer);
        text.append(buffer, count > 0 ? static_cast<std::size_t>(count) : 0);
        return text.find("type=containerd.runc.v1.Options") != std::string::npos;
    })) << text;
    EXPECT_THAT(text, HasSubstr("level=warning msg=\"Runtime options of another runtime"));
    end("c1");
}

TEST_F(StartTest, IsolatesCoresWhereTheKernelCan) {
    make_bundle("c1");
    ShimRun run = start_run("c1", params_input("c1"));
    run.environment.emplace_back("SCHED_CORE=1");
    const Outcome outcome = run_shim(run);
    if (outcome.exit_code == 0) {
        report("c1");
    } else {
        EXPECT_THAT(outcome.output, HasSubstr("enable core scheduling (SCHED_CORE=1)"));
    }
    end("c1");
}

// As for the Sandbox API: what the pod is to be, and so where its cgroup is, comes later.
TEST_F(StartTest, WorksWithoutAConfigJson) {
    for (const char* config : {"", R"({"ociVersion": "1.0.2"})"}) {
        make_bundle("c1", config);
        EXPECT_EQ(start("c1").exit_code, 0);
        EXPECT_THAT(report("c1"), HasSubstr("awaits create 1\n"));
        EXPECT_FALSE(std::filesystem::exists(run_dir("c1") / "cgroup"));
        end("c1");
        std::filesystem::remove_all(bundle("c1"));
    }
    make_bundle("c1");
    EXPECT_EQ(start("c1").exit_code, 0);
    EXPECT_THAT(report("c1"), HasSubstr("awaits create 0\n"));
    EXPECT_TRUE(std::filesystem::exists(run_dir("c1") / "cgroup"));
    end("c1");
}

// What CreateSandbox says is what `delete` knows, if the daemon is killed after it.
TEST_F(StartTest, RecordsThePodThatIsCreated) {
    make_bundle("c1", "");
    ShimRun run = start_run("c1", params_input("c1"));
    run.environment = {"FAKE_SERVE=create"};
    EXPECT_EQ(run_shim(run).exit_code, 0);
    report("c1");
    EXPECT_TRUE(std::filesystem::exists(run_dir("c1") / "cgroup"));
    const auto record = shim::read_start_record(bundle("c1"));
    EXPECT_EQ(record.pod.network.path, "/run/netns/of-the-pod");
    EXPECT_TRUE(record.pod.awaits_create);
    end("c1");
}

TEST_F(StartTest, ReplacesADeadSocket) {
    {
        auto dead = shim::ShimSocket::bind(identity("c1"), socket_dir_);
        ASSERT_TRUE(dead);
        dead->release();
    }
    make_bundle("c1");
    EXPECT_EQ(start("c1").exit_code, 0);
    EXPECT_TRUE(shim::ShimSocket::is_live(socket("c1")));
    end("c1");
}

TEST_F(StartTest, RecoversFromADaemonThatLeftItsRunDirectory) {
    make_bundle("c1");
    std::filesystem::create_directories(run_dir("c1") / "share");
    dir_.write("run/" + identity("c1").short_id() + "/console.log", "old");
    EXPECT_EQ(start("c1").exit_code, 0);
    end("c1");
}

TEST_F(StartTest, JoinsThePodsShim) {
    make_bundle("pod1", pod_config("sandbox", "pod1"));
    make_bundle("app1", pod_config("container", "pod1"));
    const Outcome first = start("pod1");
    ASSERT_EQ(first.exit_code, 0);
    const auto pods_daemon = daemon("pod1");
    const Outcome second = start("app1");
    EXPECT_EQ(second.exit_code, 0) << second.output;
    EXPECT_EQ(second.output, first.output);
    EXPECT_EQ(read_file(bundle("app1") / "address", 1024), socket_address("pod1"));
    EXPECT_EQ(daemon("pod1"), pods_daemon);
    EXPECT_EQ(daemons().size(), 1U);
    EXPECT_FALSE(std::filesystem::exists(run_dir("app1")));
    end("pod1");
}

TEST_F(StartTest, MakesOneDaemonForAGroupThatStartsAtOnce) {
    std::vector<std::string> ids;
    for (int i = 0; i < 4; ++i) {
        ids.push_back("m" + std::to_string(i));
        make_bundle(ids.back(), group_config("g"));
    }
    std::vector<Outcome> outcomes(ids.size());
    {
        std::vector<std::jthread> threads;
        threads.reserve(ids.size());
        for (std::size_t i = 0; i < ids.size(); ++i) {
            threads.emplace_back([&, i] { outcomes[i] = start(ids[i]); });
        }
    }
    for (const Outcome& outcome : outcomes) {
        EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
        EXPECT_EQ(outcome.output, outcomes[0].output);
    }
    EXPECT_EQ(daemons().size(), 1U);
    // No container is the group's own; it ends when its daemon does.
    kill_daemon("g");
    EXPECT_EQ(remove("m0").exit_code, 0);
    expect_nothing_left("g");
}

TEST_F(StartTest, LetsOneOfTwoWithTheSameIdWin) {
    make_bundle("c1");
    std::vector<Outcome> outcomes(2);
    {
        std::vector<std::jthread> threads;
        threads.reserve(outcomes.size());
        for (Outcome& outcome : outcomes) {
            threads.emplace_back([&] { outcome = start("c1"); });
        }
    }
    EXPECT_THAT(
        (std::vector{outcomes[0].exit_code, outcomes[1].exit_code}),
        AnyOf(ElementsAre(0, 1), ElementsAre(1, 0))
    );
    EXPECT_EQ(daemons().size(), 1U);
    EXPECT_TRUE(std::filesystem::exists(bundle("c1") / "address"));
    end("c1");
}

TEST_F(StartTest, LeavesNothingWhenTheDaemonEnds) {
    make_bundle("c1");
    ShimRun run = start_run("c1", params_input("c1"));
    for (const char* mode : {"return", "throw"}) {
        run.environment = {std::string("FAKE_SERVE=") + mode};
        EXPECT_EQ(run_shim(run).exit_code, 0);
        expect_nothing_left("c1");
    }
}

TEST_F(StartTest, LeavesNothingWhenTheDaemonIsTerminated) {
    make_bundle("c1");
    ShimRun run = start_run("c1", params_input("c1"));
    run.environment = {"FAKE_SERVE=litter"};
    EXPECT_EQ(run_shim(run).exit_code, 0);
    ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(bundle("c1") / "littered"); }));
    const UniqueFd pidfd = open_pidfd(daemon("c1").value());
    signal_pidfd(pidfd.get(), SIGTERM);
    expect_nothing_left("c1");
}

TEST_F(StartTest, PrintsInformationWithoutAnyState) {
    const Outcome info = run_shim({.arguments = {"-info"}, .input = legacy_input()});
    EXPECT_EQ(info.exit_code, 0);
    containerd::types::RuntimeInfo message;
    ASSERT_TRUE(message.ParseFromString(info.output));
    EXPECT_EQ(message.name(), "io.containerd.cppvm.v1");
    const Outcome version = run_shim({.arguments = {"-v"}});
    EXPECT_EQ(version.exit_code, 0);
    EXPECT_THAT(version.output, ::testing::StartsWith("containerd-shim-cppvm-v1 0."));
    const Outcome help = run_shim({.arguments = {"-help"}});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.output, HasSubstr("usage: "));
}

} // namespace
} // namespace cppvm::testing
