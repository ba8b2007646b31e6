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

// systemd's slice of a pod, whose cgroups have no controllers of their own.
TEST(UsageTest, IsThatOfTheNearestCgroupThatAccounts) {
    const testing::TempDir root;
    root.write("memory.current", "9\n"); // of the whole host
    root.write("pids.current", "9\n");
    root.write("io.stat", "8:0 rbytes=900 wbytes=90\n");
    root.write("a.slice/memory.current", "8192\n");
    root.write("a.slice/cpu.stat", "usage_usec 50\n");
    root.write("a.slice/a-b.slice/memory.current", "4096\n");
    root.write("a.slice/a-b.slice/vm/cpu.stat", "usage_usec 5\n");
    const Usage usage = read_usage("a.slice/a-b.slice/vm", {{root.path(), ""}});
    EXPECT_EQ(usage.memory_bytes, 4096U);
    EXPECT_EQ(usage.cpu_microseconds, 5U);
    EXPECT_FALSE(usage.tasks);
    EXPECT_FALSE(usage.io_read_bytes);
}

std::vector<Hierarchy> version1(const testing::TempDir& root) {
    return {{root / "cpu", "cpu"}, {root / "memory", "memory"}};
}

TEST(UsageTest, CountsWhatWasKilledForMemory) {
    const testing::TempDir root;
    root.write("pod/memory.events", "low 0\nhigh 0\nmax 9\noom 3\noom_kill 3\noom_group_kill 0\n");
    root.write("pod/vm/memory.events", "low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\n");
    root.write("pod/other/cgroup.procs", "");
    EXPECT_EQ(memory_kills("pod/vm", {{root.path(), ""}}), 2U);
    EXPECT_EQ(memory_kills("pod/other", {{root.path(), ""}}), 3U);
    EXPECT_EQ(memory_kills("elsewhere", {{root.path(), ""}}), 0U);
    root.write("memory/vm/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
    root.write("cpu/vm/memory.oom_control", "oom_kill 7\n"); // not accounted for there
    EXPECT_EQ(memory_kills("vm", version1(root)), 1U);
    EXPECT_EQ(memory_kills("vm", {}), 0U);
}

TEST(UsageTest, FindsTheLeastMemoryLimit) {
    const testing::TempDir root;
    root.write("pods/memory.max", "4096\n");
    root.write("pods/pod/memory.max", "max\n");
    root.write("pods/pod/vm/memory.max", "8192\n");
    EXPECT_EQ(memory_limit("pods/pod/vm", {{root.path(), ""}}), 4096U);
    root.write("memory/memory.limit_in_bytes", "1024\n"); // the root's, which has none
    root.write("memory/pods/memory.limit_in_bytes", "9223372036854771712\n");
    root.write("memory/pods/pod/memory.limit_in_bytes", "2048\n");
    EXPECT_EQ(memory_limit("pods/pod", version1(root)), 2048U);
    EXPECT_EQ(memory_limit("pods", version1(root)), std::nullopt);
    EXPECT_EQ(memory_limit("pods/pod", {}), std::nullopt);
}

} // namespace
} // namespace cppvm::cgroup
