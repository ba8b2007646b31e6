#include "common/async/run.hpp"
#include "host/shim/ending_signals.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>

namespace cppvm::shim {
namespace {

using ::testing::ExitedWithCode;

// Catching is for the life of a process, so each case has one of its own, whose exit code tells
// what came of it.

[[noreturn]] void take_two() {
    UniqueFd caught = catch_ending_signals();
    ::raise(SIGINT); // nobody reads yet
    asio::io_context loop(1);
    asio::posix::stream_descriptor descriptor(loop, caught.release());
    const int first = run_until_done(loop, wait_ending_signal(descriptor));
    ::raise(SIGTERM);
    loop.restart();
    const int second = run_until_done(loop, wait_ending_signal(descriptor));
    std::exit(first == SIGINT && second == SIGTERM ? 0 : 1);
}

[[noreturn]] void get_one_when_nobody_reads_any_more() {
    catch_ending_signals().reset();
    ::raise(SIGTERM);
    ::raise(SIGINT);
    std::exit(0);
}

TEST(EndingSignalsTest, GivesEachAlsoOneThatCameBefore) {
    EXPECT_EXIT(take_two(), ExitedWithCode(0), "");
}

TEST(EndingSignalsTest, EndNothingAfterTheLastReader) {
    EXPECT_EXIT(get_one_when_nobody_reads_any_more(), ExitedWithCode(0), "");
}

} // namespace
} // namespace cppvm::shim
