#include "host/cgroup/usage.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

namespace cppvm::cgroup {
namespace {

TEST(UsageTest, ReadsVersion2) {
    const testing::TempDir root;
    root.write("a/memory.current", "1048576\n");
    root.write("a/cpu.stat", "usage_usec 1234\nuser_usec 1000\nsystem_usec 234\n");
    root.write("a/pids.current", "7\n");
    root.write(
        "a/io.stat",
        "8:0 rbytes=100 wbytes=10 rios=1 wios=1 dbytes=0 dios=0\n"
        "8:16 rbytes=200 wbytes=20 rios=1 wios=1 dbytes=0 dios=0\n"
    );
    const Usage usage = read_usage("a", {{root.path(), ""}});
    EXPECT_EQ(usage.memory_bytes, 1048576U);
    EXPECT_EQ(usage.cpu_microseconds, 1234U);
    EXPECT_EQ(usage.tasks, 7U);
    EXPECT_EQ(usage.io_read_bytes, 300U);
    EXPECT_EQ(usage.io_written_bytes, 30U);
}

TEST(UsageTest, ReadsVersion1) {
    const testing::TempDir root;
    root.write("memory/a/memory.usage_in_bytes", "4096\n");
    root.write("cpuacct/a/cpuacct.usage", "5000999\n");
    root.write("pids/a/pids.current", "3\n");
    root.write(
        "blkio/a/blkio.throttle.io_service_bytes",
        "8:0 Read 1\n8:0 Write 2\n8:0 Sync 3\n8:0 Async 0\n8:0 Total 3\n"
        "8:16 Read 10\n8:16 Write 20\n8:16 Total 30\nTotal 33\n"
    );
    std::vector<Hierarchy> hierarchies;
    for (const char* controller : {"memory", "cpu", "cpuacct", "pids", "blkio"}) {
        hierarchies.push_back({root / controller, controller});
    }
    const Usage usage = read_usage("a", hierarchies);
    EXPECT_EQ(usage.memory_bytes, 4096U);
    EXPECT_EQ(usage.cpu_microseconds, 5000U);
    EXPECT_EQ(usage.tasks, 3U);
    EXPECT_EQ(usage.io_read_bytes, 11U);
    EXPECT_EQ(usage.io_written_bytes, 22U);
}

TEST(UsageTest, TellsNothingOfWhatIsNotAccountedFor) {
    const testing::TempDir root;
    root.write("a/cpu.stat", "usage_usec 5\n");
    root.write("a/memory.current", "much\n");
    const Usage usage = read_usage("a", {{root.path(), ""}});
    EXPECT_EQ(usage.cpu_microseconds, 5U);
    EXPECT_FALSE(usage.memory_bytes);
    EXPECT_FALSE(usage.tasks);
    EXPECT_FALSE(usage.io_read_bytes);
    EXPECT_FALSE(read_usage("nowhere", {{root.path(), ""}}).cpu_microseconds);
}

TEST(UsageTest, CountsWhatWasKilledForMemory) {
    const testing::TempDir root;
    root.write("v2/memory.events", "low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\noom_group_kill 0\n");
    root.write("v1/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
    EXPECT_EQ(memory_kills({root / "v2"}), 2U);
    EXPECT_EQ(memory_kills({root / "v1"}), 1U);
    EXPECT_EQ(memory_kills({}), 0U);
}

TEST(UsageTest, FindsTheLeastMemoryLimit) {
    const testing::TempDir root;
    root.write("v2/memory.max", "4096\n");
    root.write("v2/pod/memory.max", "max\n");
    root.write("v2/pod/vm/memory.max", "8192\n");
    EXPECT_EQ(memory_limit({root / "v2/pod/vm"}), 4096U);
    root.write("v1/memory.limit_in_bytes", "9223372036854771712\n");
    root.write("v1/pod/memory.limit_in_bytes", "2048\n");
    EXPECT_EQ(memory_limit({root / "v1/pod"}), 2048U);
    EXPECT_EQ(memory_limit({root / "v1"}), std::nullopt);
    EXPECT_EQ(memory_limit({}), std::nullopt);
}

} // namespace
} // namespace cppvm::cgroup
