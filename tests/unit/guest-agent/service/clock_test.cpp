#include "guest-agent/service/clock.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace cppvm::guest {
namespace {

constexpr std::int64_t ms = 1000000;

TEST(ClockTest, StepsForwardToTheFirstWordAtOnce) {
    EXPECT_EQ(Clock::decide(3 * ms, 0, true).step_ns, 3 * ms);
    EXPECT_EQ(Clock::decide(900 * ms, 0, true).step_ns, 900 * ms);
}

TEST(ClockTest, NeverStepsBackForAWordThatMayBeOld) {
    for (const bool first : {true, false}) {
        const ClockChange change = Clock::decide(-60000 * ms, 0, first);
        EXPECT_EQ(change.step_ns, 0);
        EXPECT_EQ(change.slew_ns, 0);
    }
}

TEST(ClockTest, StepsForwardAfterAStandstillOnly) {
    EXPECT_EQ(Clock::decide(99 * ms, 0, false).step_ns, 0);
    EXPECT_EQ(Clock::decide(101 * ms, 0, false).step_ns, 101 * ms);
    EXPECT_EQ(Clock::decide(0, 101 * ms, false).step_ns, 101 * ms);
}

TEST(ClockTest, CorrectsSmallErrorsSlowly) {
    EXPECT_EQ(Clock::decide(0, 5 * ms, false).slew_ns, 5 * ms);
    EXPECT_EQ(Clock::decide(0, -5 * ms, false).slew_ns, -5 * ms);
    EXPECT_EQ(Clock::decide(0, -900 * ms, false).slew_ns, -900 * ms);
    EXPECT_EQ(Clock::decide(0, -900 * ms, false).step_ns, 0);
}

TEST(ClockTest, FollowsAHostWhoseClockWasSetBack) {
    EXPECT_EQ(Clock::decide(-3600000 * ms, -3600000 * ms, false).step_ns, -3600000 * ms);
}

TEST(ClockTest, ChangesNothingThatIsRight) {
    std::vector<std::int64_t> steps;
    Clock clock([&](const ClockChange& change) { steps.push_back(change.step_ns); });
    clock.hear(wall_clock_ns() - 1000 * ms, 0);
    EXPECT_TRUE(steps.empty());
    clock.hear(wall_clock_ns() + 1000 * ms, 0);
    ASSERT_EQ(steps.size(), 1U);
    EXPECT_NEAR(static_cast<double>(steps[0]), 1000.0 * ms, 500.0 * ms);
}

} // namespace
} // namespace cppvm::guest
