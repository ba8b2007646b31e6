#include "common/os/process_id.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

namespace cppvm {
namespace {

TEST(ProcessIdTest, SurvivesItsTextForm) {
    const ProcessId process{123, 456789};
    EXPECT_EQ(to_text(process), "123 456789\n");
    EXPECT_EQ(parse_process_id(to_text(process)), process);
}

TEST(ProcessIdTest, RefusesOtherTexts) {
    for (const char* text : {"", "1", "1 ", " 1 2", "-1 2", "0 5", "1 2x", "a b", "1  2"}) {
        EXPECT_EQ(parse_process_id(text), std::nullopt) << text;
    }
}

TEST(ProcessIdTest, FindsItselfAndTellsAReusedPidApart) {
    const auto self = find_process(::getpid());
    ASSERT_TRUE(self);
    EXPECT_TRUE(open_pidfd(*self));
    EXPECT_FALSE(open_pidfd({self->pid, self->start_time + 1}));
}

TEST(ProcessIdTest, SeesTheEndOfAProcess) {
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::pause();
        ::_exit(0);
    }
    const UniqueFd pidfd = open_pidfd(find_process(pid).value());
    EXPECT_FALSE(wait_pidfd(pidfd.get(), 0));
    EXPECT_TRUE(signal_pidfd(pidfd.get(), SIGKILL));
    EXPECT_TRUE(wait_pidfd(pidfd.get(), 10'000));
    ::waitpid(pid, nullptr, 0);
    EXPECT_FALSE(signal_pidfd(pidfd.get(), SIGKILL));
    EXPECT_EQ(find_process(pid), std::nullopt);
}

} // namespace
} // namespace cppvm
