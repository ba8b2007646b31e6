#include "common/async/event.hpp"
#include "common/async/first_of.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/standin/stand_in.hpp"
#include "tests/support/co_test.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <sys/wait.h>
#include <unistd.h>

namespace cppvm {
namespace {

using ::testing::HasSubstr;

std::string proc(pid_t pid, const std::string& file) {
    return "/proc/" + std::to_string(pid) + "/" + file;
}

// The name is set by the program itself, a moment after exec.
Awaitable<> wait_until_named(pid_t pid) {
    auto executor = co_await asio::this_coro::executor;
    while (read_file(proc(pid, "comm"), 100) != "cppvm-task\n") {
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
        StandIn stand_in(executor, CPPVM_STANDIN, {});
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

TEST(StandInTest, TellsItsEndWhoeverBroughtItAbout) {
    testing::co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        StandIn killed(executor, CPPVM_STANDIN, {});
        ::kill(killed.pid(), SIGKILL);
        co_await killed.wait();
        StandIn ended(executor, CPPVM_STANDIN, {});
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
        const StandIn stand_in(loop.get_executor(), CPPVM_STANDIN, {});
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
        StandIn first(executor, CPPVM_STANDIN, {-1, true});
        EXPECT_NE(network_namespace(first.pid()), network_namespace(::getpid()));
        const UniqueFd fd = open_file(proc(first.pid(), "ns/net"), O_RDONLY);
        StandIn second(executor, CPPVM_STANDIN, {fd.get(), false});
        EXPECT_EQ(network_namespace(second.pid()), network_namespace(first.pid()));
        second.end();
        first.end();
    }());
}

TEST(StandInTest, NamesAMissingProgram) {
    asio::io_context loop;
    try {
        const StandIn stand_in(loop.get_executor(), "/does/not/exist", {});
        FAIL();
    } catch (const Error& error) {
        EXPECT_THAT(error.message(), HasSubstr("/does/not/exist"));
    }
}

} // namespace
} // namespace cppvm
