// Each part of a Confinement, as the kernel tells it of a child that runs.

#include "common/base/error.hpp"
#include "common/os/child_process.hpp"
#include "common/os/file.hpp"
#include "common/os/pipe.hpp"
#include "common/os/seccomp_filter.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/temp_dir.hpp"

#include <gmock/gmock.h>

#include <csignal>
#include <linux/capability.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cppvm {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr uid_t some_user = 2'000'000'123;

class ConfinementTest : public ::testing::Test {
  public:
    void SetUp() override {
        if (::geteuid() != 0) {
            GTEST_SKIP() << "needs root";
        }
        spec_.arguments = {"/usr/bin/sleep", "60"};
    }

    /// What a file of /proc says of the child of spec_.
    std::string proc(const std::string& file) {
        asio::io_context loop;
        const ChildProcess child(loop.get_executor(), spec_);
        return read_file("/proc/" + std::to_string(child.pid()) + "/" + file, 65536);
    }

    /// The value of a line of /proc/<pid>/status.
    std::string status(const std::string& key) {
        const std::string text = proc("status");
        const std::size_t begin = text.find("\n" + key + ":\t") + key.size() + 3;
        return text.substr(begin, text.find('\n', begin) - begin);
    }

    std::string error() {
        asio::io_context loop;
        try {
            const ChildProcess child(loop.get_executor(), spec_);
            return "no error";
        } catch (const Error& failure) {
            return failure.message();
        }
    }

    /// What the program of spec_ prints.
    std::string output() {
        std::string text;
        testing::co_test([](ChildSpec spec, std::string& result) -> Awaitable<> {
            Pipe pipe = make_pipe("the test");
            spec.descriptors = {{pipe.write.get(), 1}, {pipe.write.get(), 2}};
            ChildProcess child(co_await asio::this_coro::executor, spec);
            pipe.write.reset();
            co_await child.wait();
            result = read_all(pipe.read.get(), "pipe", 65536);
        }(spec_, text));
        return text;
    }

    ChildSpec spec_;
    Confinement& confinement_ = spec_.confinement;
};

TEST_F(ConfinementTest, RunsAsAUserWithoutGroupsAndCapabilities) {
    confinement_.user = {some_user, some_user + 1, {}};
    confinement_.capabilities = 0;
    EXPECT_EQ(status("Uid"), "2000000123\t2000000123\t2000000123\t2000000123");
    EXPECT_EQ(status("Gid"), "2000000124\t2000000124\t2000000124\t2000000124");
    EXPECT_EQ(status("Groups"), " ");
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
        EXPECT_EQ(status(set), "0000000000000000") << set;
    }
}

TEST_F(ConfinementTest, GivesTheNamedGroups) {
    confinement_.user = {some_user, some_user, {some_user + 2, some_user + 3}};
    EXPECT_EQ(status("Groups"), "2000000125 2000000126 ");
}

TEST_F(ConfinementTest, LeavesRootTheNamedCapabilities) {
    confinement_.capabilities = 1U << CAP_CHOWN | 1U << CAP_KILL;
    EXPECT_EQ(status("CapEff"), "0000000000000021");
    EXPECT_EQ(status("CapPrm"), "0000000000000021");
    EXPECT_EQ(status("CapBnd"), "0000000000000021");
    EXPECT_THAT(status("Uid"), StartsWith("0\t0"));
}

TEST_F(ConfinementTest, LowersLimitsButRaisesNone) {
    confinement_.limits = {{RLIMIT_NOFILE, 77}, {RLIMIT_CORE, 0}};
    const std::string limits = proc("limits");
    EXPECT_THAT(limits, ::testing::ContainsRegex("Max open files +77 +77 "));
    EXPECT_THAT(limits, ::testing::ContainsRegex("Max core file size +0 +0 "));
    rlimit ours{};
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &ours), 0);
    confinement_.limits = {{RLIMIT_NOFILE, ours.rlim_max + 1}};
    EXPECT_THAT(
        proc("limits"),
        ::testing::ContainsRegex("Max open files +" + std::to_string(ours.rlim_max) + " ")
    );
}

TEST_F(ConfinementTest, TakesPrivilegesAndSystemCallsForGood) {
    EXPECT_EQ(status("NoNewPrivs"), "0");
    confinement_.no_new_privileges = true;
    EXPECT_EQ(status("NoNewPrivs"), "1");
    EXPECT_EQ(status("Seccomp"), "0");
    confinement_.system_calls = {BPF_STMT(BPF_RET | BPF_K, 0x7fff0000U /* SECCOMP_RET_ALLOW */)};
    EXPECT_EQ(status("Seccomp"), "2");
}

TEST_F(ConfinementTest, MakesTheNamedNamespacesAndNoOthers) {
    confinement_.namespaces = CLONE_NEWNET | CLONE_NEWIPC;
    asio::io_context loop;
    const ChildProcess child(loop.get_executor(), spec_);
    const auto same = [&child](const std::string& name) {
        const std::string link = "/ns/" + name;
        return std::filesystem::read_symlink("/proc/self" + link) ==
               std::filesystem::read_symlink("/proc/" + std::to_string(child.pid()) + link);
    };
    EXPECT_FALSE(same("net"));
    EXPECT_FALSE(same("ipc"));
    EXPECT_TRUE(same("mnt"));
    EXPECT_TRUE(same("uts"));
}

TEST_F(ConfinementTest, ShowsNothingButTheNamedPaths) {
    const testing::TempDir directory;
    std::filesystem::create_directory(directory / "seen");
    directory.write("seen/file", "x");
    directory.write("unseen", "x");
    confinement_.visible = {{"/lib"}, {"/lib64"}, {"/usr/bin/find"}, {directory / "seen", true}};
    spec_.arguments = {"/usr/bin/find", "/", "-path", "/lib*/*", "-prune", "-o", "-print"};
    const std::string seen = directory.path().native();
    EXPECT_EQ(
        output(),
        "/\n/tmp\n" + seen + "\n" + seen + "/seen\n" + seen +
            "/seen/file\n/usr\n/usr/bin\n/usr/bin/find\n/lib64\n/lib\n"
    );
}

TEST_F(ConfinementTest, LetsWriteOnlyWhereItIsSaid) {
    const testing::TempDir directory;
    std::filesystem::create_directory(directory / "free");
    confinement_.visible = {{"/lib"}, {"/lib64"}, {"/usr/bin"}, {directory.path()}};
    spec_.arguments = {"/usr/bin/touch", "/x", "/usr/bin/x", directory / "x"};
    const std::string refused = output();
    EXPECT_THAT(refused, HasSubstr("'/x': Read-only file system"));
    EXPECT_THAT(refused, HasSubstr("'/usr/bin/x': Read-only file system"));
    EXPECT_THAT(refused, HasSubstr(directory / "x': Read-only file system"));
    confinement_.visible.back() = {directory / "free", true};
    spec_.arguments = {"/usr/bin/touch", directory / "free/x"};
    EXPECT_EQ(output(), "");
    EXPECT_TRUE(std::filesystem::exists(directory / "free/x"));
}

TEST_F(ConfinementTest, ExecutesNothingWhereItMayWrite) {
    const testing::TempDir directory;
    const auto program = directory / "program";
    std::filesystem::copy_file("/usr/bin/true", program);
    confinement_.visible = {{"/lib"}, {"/lib64"}, {directory.path(), true}};
    spec_.arguments = {program};
    EXPECT_EQ(error(), "execute " + program.native() + ": Permission denied");
}

TEST_F(ConfinementTest, NamesTheStepThatFails) {
    confinement_.limits = {{99, 0}};
    EXPECT_EQ(error(), "set the limits of /usr/bin/sleep: Invalid argument");
    confinement_ = {};
    confinement_.namespaces = 1;
    EXPECT_EQ(error(), "make namespaces for /usr/bin/sleep: Invalid argument");
    confinement_ = {};
    confinement_.user = {some_user, some_user, std::vector<gid_t>(65537)};
    EXPECT_EQ(error(), "change to the user of /usr/bin/sleep: Invalid argument");
    confinement_ = {};
    confinement_.system_calls = {BPF_STMT(0xffff, 0)};
    EXPECT_EQ(error(), "install the seccomp filter of /usr/bin/sleep: Invalid argument");
    confinement_ = {};
    confinement_.visible = {{"/nowhere"}};
    EXPECT_EQ(error(), "show to a child /nowhere: No such file or directory");
    confinement_.visible = {{"/lib"}};
    EXPECT_EQ(error(), "execute /usr/bin/sleep: No such file or directory");
}

TEST_F(ConfinementTest, StillEndsWithItsParent) {
    confinement_.user = {some_user, some_user, {}};
    confinement_.capabilities = 0;
    Pipe pipe = make_pipe("the test");
    const pid_t parent = ::fork();
    if (parent == 0) {
        asio::io_context loop;
        const ChildProcess child(loop.get_executor(), spec_);
        const pid_t pid = child.pid();
        write_all(pipe.write.get(), "pipe", {reinterpret_cast<const char*>(&pid), sizeof pid});
        ::pause();
        ::_exit(0);
    }
    pid_t pid = 0;
    ASSERT_EQ(::read(pipe.read.get(), &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
    const auto process = find_process(pid);
    ASSERT_TRUE(process);
    const UniqueFd pidfd = open_pidfd(*process);
    ::kill(parent, SIGKILL);
    ::waitpid(parent, nullptr, 0);
    EXPECT_TRUE(wait_pidfd(pidfd.get(), 10'000));
}

} // namespace
} // namespace cppvm
