#include "common/async/event.hpp"
#include "common/async/first_of.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/network/namespace.hpp"
#include "host/standin/stand_in.hpp"
#include "tests/support/co_test.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fcntl.h>
#include <filesystem>
#include <sys/wait.h>
#include <unistd.h>

namespace cppvm {
namespace {

using ::testing::HasSubstr;

std::string proc(pid_t pid, const std::string& file) {
    return "/proc/" + std::to_string(pid) + "/" + file;
}

StandInSpec spec(int network_namespace = -1) {
    StandInSpec result;
    result.program = CPPVM_STANDIN;
    result.network_namespace = network_namespace;
    return result;
}

// The name is set by the program itself, a moment after exec.
Awaitable<> wait_until_named(pid_t pid, std::string name = "vm:cppvm-standi") {
    auto executor = co_await asio::this_coro::executor;
    while (read_file(proc(pid, "comm"), 100) != name + "\n") {
        co_await asio::post(executor, asio::use_awaitable);
    }
}

std::string network_namespace(pid_t pid) {
    return std::filesystem::read_symlink(proc(pid, "ns/net")).native();
}

std::size_t private_kib(pid_t pid) {
    const std::string text = read_file(proc(pid, "smaps_rollup"), 4096);
    std::size_t sum = 0;
    for (const std::string key : {"Private_Clean:", "Private_Dirty:"}) {
        sum += std::stoul(text.substr(text.find(key) + key.size()));
    }
    return sum;
}

TEST(StandInTest, WaitsUnderItsNameInLittleMemoryAndGoesAltogether) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        StandIn stand_in(executor, spec());
        const pid_t pid = stand_in.pid();
        co_await wait_until_named(pid);
        EXPECT_EQ(stand_in.id().pid, pid);
        EXPECT_LE(private_kib(pid), 100u);
        EXPECT_LE(std::filesystem::file_size(CPPVM_STANDIN), 100'000u);
        EXPECT_EQ(network_namespace(pid), network_namespace(::getpid()));
        EXPECT_EQ(::getsid(pid), pid);
        EXPECT_EQ(::kill(pid, SIGSTOP), 0);
        EXPECT_EQ(::kill(pid, SIGCONT), 0);
        EXPECT_EQ(::kill(pid, 0), 0);
        stand_in.end();
        EXPECT_EQ(::kill(pid, 0), -1);
        stand_in.end();
    }());
}

TEST(StandInTest, ShowsNothingOfTheHost) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "needs root";
    }
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StandIn stand_in(executor, spec());
        co_await wait_until_named(stand_in.pid());
        EXPECT_FALSE(std::filesystem::exists(proc(stand_in.pid(), "root/etc")));
    }());
}

TEST(StandInTest, LooksLikeItsGuestProcess) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        StandInSpec shown = spec();
        shown.arguments = {"nginx", "-g", "daemon off;"};
        shown.environment = {"A=1", "B="};
        shown.working_directory = "/tmp";
        const UniqueFd mounts = open_file("/proc/self/ns/mnt", O_RDONLY);
        shown.mount_namespace = ::geteuid() == 0 ? mounts.get() : -1;
        if (::geteuid() == 0) {
            shown.user = {1234, 4321, {7}};
        }
        const StandIn stand_in(executor, shown);
        co_await wait_until_named(stand_in.pid(), "vm:nginx");
        const auto of = [&](const char* file) {
            return read_file(proc(stand_in.pid(), file), 4096);
        };
        EXPECT_EQ(of("cmdline"), std::string("nginx\0-g\0daemon off;\0", 21));
        EXPECT_EQ(of("environ"), std::string("A=1\0B=\0", 7));
        EXPECT_EQ(std::filesystem::read_symlink(proc(stand_in.pid(), "cwd")), "/tmp");
        if (::geteuid() == 0) {
            EXPECT_THAT(of("status"), HasSubstr("Uid:\t1234\t1234\t1234\t1234"));
            EXPECT_THAT(of("status"), HasSubstr("Gid:\t4321\t4321\t4321\t4321"));
            EXPECT_THAT(of("status"), HasSubstr("CapBnd:\t0000000000000000"));
        }
        shown.arguments = {"large", std::string(100'000, 'x')};
        shown.environment = {std::string(100'000, 'x')};
        const StandIn limited(executor, shown);
        EXPECT_LT(read_file(proc(limited.pid(), "cmdline"), 4096).size(), 4096U);
    }());
}

TEST(StandInTest, TellsItsEndWhoeverBroughtItAbout) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        StandIn killed(executor, spec());
        ::kill(killed.pid(), SIGKILL);
        co_await killed.wait();
        StandIn ended(executor, spec());
        co_await first_of(ended.wait(), [](StandIn& stand_in) -> Awaitable<> {
            stand_in.end(); // while somebody waits
            Event never(co_await asio::this_coro::executor);
            co_await never.wait();
        }(ended));
        EXPECT_EQ(::kill(ended.pid(), 0), -1);
    }());
}

TEST(StandInTest, EndsWithItsOwner) {
    // A parent that is killed: its stand-in must not outlive it.
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t parent = ::fork();
    if (parent == 0) {
        asio::io_context loop;
        const StandIn stand_in(loop.get_executor(), spec());
        const pid_t pid = stand_in.pid();
        [[maybe_unused]] const auto written = ::write(ends[1], &pid, sizeof pid);
        ::pause();
        ::_exit(0);
    }
    pid_t pid = 0;
    ASSERT_EQ(::read(ends[0], &pid, sizeof pid), static_cast<ssize_t>(sizeof pid));
    ::close(ends[0]);
    ::close(ends[1]);
    const auto process = find_process(pid);
    ASSERT_TRUE(process);
    const UniqueFd pidfd = open_pidfd(*process);
    ASSERT_TRUE(pidfd);
    ::kill(parent, SIGKILL);
    ::waitpid(parent, nullptr, 0);
    EXPECT_TRUE(wait_pidfd(pidfd.get(), 10'000));
}

TEST(StandInTest, LivesInTheNetworkNamespaceThatItIsGiven) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "needs root for network namespaces";
    }
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const UniqueFd fresh = co_await network::open_namespace(
            executor,
            {network::NamespaceSpec::Kind::fresh, {}},
            deadline_in(std::chrono::seconds(10))
        );
        StandIn first(executor, spec(fresh.get()));
        EXPECT_NE(network_namespace(first.pid()), network_namespace(::getpid()));
        StandIn second(executor, spec(fresh.get()));
        EXPECT_EQ(network_namespace(second.pid()), network_namespace(first.pid()));
        second.end();
        first.end();
    }());
}

TEST(StandInTest, NamesAMissingProgram) {
    asio::io_context loop;
    try {
        StandInSpec missing;
        missing.program = "/does/not/exist";
        const StandIn stand_in(loop.get_executor(), missing);
        FAIL();
    } catch (const Error& error) {
        EXPECT_THAT(error.message(), HasSubstr("/does/not/exist"));
    }
}

} // namespace
} // namespace cppvm
