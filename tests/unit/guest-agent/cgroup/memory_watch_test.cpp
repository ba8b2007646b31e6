#include "guest-agent/cgroup/memory_watch.hpp"

#include <gtest/gtest.h>

namespace cppvm::guest {
namespace {

constexpr std::int64_t mib = 1L << 20;
constexpr std::int64_t pages_of_mib = mib / 4096;

MemorySample sample(std::int64_t used, std::int64_t files, std::int64_t refaulted) {
    return {.limit = 50 * mib, .used = used, .files = files, .refaulted = refaulted};
}

TEST(MemoryWatchTest, SeesThatTheSameFilesComeBackAgainAndAgain) {
    const MemorySample before = sample(50 * mib, 4 * mib, 1000);
    EXPECT_TRUE(is_thrashing(before, sample(50 * mib, 4 * mib, 1000 + 4 * pages_of_mib)));
    EXPECT_TRUE(is_thrashing(before, sample(49 * mib, mib, 1000 + 2 * pages_of_mib)));
    EXPECT_FALSE(is_thrashing(before, sample(50 * mib, 4 * mib, 1000 + pages_of_mib)));
}

TEST(MemoryWatchTest, LeavesProgramsAloneThatWorkOnLargeFiles) {
    const MemorySample before = sample(50 * mib, 30 * mib, 0);
    EXPECT_FALSE(is_thrashing(before, sample(50 * mib, 30 * mib, 100 * pages_of_mib)));
}

TEST(MemoryWatchTest, LeavesProgramsAloneThatHaveRoom) {
    const MemorySample before = sample(40 * mib, mib, 0);
    EXPECT_FALSE(is_thrashing(before, sample(40 * mib, mib, 100 * pages_of_mib)));
    EXPECT_FALSE(is_thrashing({}, {.limit = 0, .used = mib, .files = 0, .refaulted = 1}));
}

} // namespace
} // namespace cppvm::guest
