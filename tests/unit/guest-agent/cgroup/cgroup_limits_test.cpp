#include "common/base/error.hpp"
#include "guest-agent/cgroup/cgroup_limits.hpp"
#include "tests/support/failure_of.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cppvm::guest {

// NOLINTNEXTLINE(readability-identifier-naming): gtest looks for this name.
void PrintTo(const CgroupWrite& write, std::ostream* stream) {
    *stream << write.file << "=" << write.value;
}

namespace {

using ::testing::ElementsAre;

struct LimitsCase {
    std::string name;
    oci::Resources resources;
    std::vector<CgroupWrite> writes;
};

oci::Resources memory(oci::MemoryResources value) {
    oci::Resources resources;
    resources.memory = value;
    return resources;
}

oci::Resources cpu(oci::CpuResources value) {
    oci::Resources resources;
    resources.cpu = std::move(value);
    return resources;
}

oci::Resources pids(std::int64_t limit) {
    oci::Resources resources;
    resources.pids.limit = limit;
    return resources;
}

class CgroupLimitsTest : public ::testing::TestWithParam<LimitsCase> {};

TEST_P(CgroupLimitsTest, Converts) {
    EXPECT_EQ(cgroup_writes(GetParam().resources), GetParam().writes);
}

INSTANTIATE_TEST_SUITE_P(
    CgroupLimitsTest,
    CgroupLimitsTest,
    ::testing::Values(
        LimitsCase{"Nothing", {}, {}},
        LimitsCase{"Memory", memory({.limit = 1000}), {{"memory", "memory.max", "1000"}}},
        LimitsCase{
            "MemoryUnlimited",
            memory({.limit = -1}),
            {{"memory", "memory.swap.max", "max"}, {"memory", "memory.max", "max"}}
        },
        LimitsCase{"MemoryZeroIsNone", memory({.limit = 0}), {}},
        LimitsCase{
            "SwapIsTheRest",
            memory({.limit = 1000, .swap = 1500}),
            {{"memory", "memory.swap.max", "500"}, {"memory", "memory.max", "1000"}}
        },
        LimitsCase{
            "SwapEqualIsNoSwap",
            memory({.limit = 1000, .swap = 1000}),
            {{"memory", "memory.swap.max", "0"}, {"memory", "memory.max", "1000"}}
        },
        LimitsCase{"SwapUnlimited", memory({.swap = -1}), {{"memory", "memory.swap.max", "max"}}},
        LimitsCase{"Reservation", memory({.reservation = 77}), {{"memory", "memory.low", "77"}}},
        LimitsCase{"SharesLeast", cpu({.shares = 2}), {{"cpu", "cpu.weight", "1"}}},
        LimitsCase{"SharesUsual", cpu({.shares = 1024}), {{"cpu", "cpu.weight", "39"}}},
        LimitsCase{"SharesMost", cpu({.shares = 262144}), {{"cpu", "cpu.weight", "10000"}}},
        LimitsCase{"SharesAbove", cpu({.shares = 1U << 30}), {{"cpu", "cpu.weight", "10000"}}},
        LimitsCase{"SharesZeroIsNone", cpu({.shares = 0}), {}},
        LimitsCase{
            "QuotaAndPeriod",
            cpu({.quota = 50000, .period = 200000}),
            {{"cpu", "cpu.max", "50000 200000"}}
        },
        LimitsCase{"QuotaAlone", cpu({.quota = 5000}), {{"cpu", "cpu.max", "5000 100000"}}},
        LimitsCase{"QuotaUnlimited", cpu({.quota = -1}), {{"cpu", "cpu.max", "max 100000"}}},
        LimitsCase{"PeriodAlone", cpu({.period = 7}), {{"cpu", "cpu.max", "max 7"}}},
        LimitsCase{"Burst", cpu({.burst = 9}), {{"cpu", "cpu.max.burst", "9"}}},
        LimitsCase{
            "BurstAndQuota",
            cpu({.quota = 5000, .burst = 9}),
            {{"cpu", "cpu.max.burst", "0"},
             {"cpu", "cpu.max", "5000 100000"},
             {"cpu", "cpu.max.burst", "9"}}
        },
        LimitsCase{"Idle", cpu({.idle = 1}), {{"cpu", "cpu.idle", "1"}}},
        LimitsCase{
            "Sets",
            cpu({.cpus = "0-1", .mems = "0"}),
            {{"cpuset", "cpuset.cpus", "0-1"}, {"cpuset", "cpuset.mems", "0"}}
        },
        LimitsCase{"Pids", pids(9), {{"pids", "pids.max", "9"}}},
        LimitsCase{"PidsUnlimited", pids(-1), {{"pids", "pids.max", "max"}}},
        LimitsCase{"PidsZeroIsNone", pids(0), {}}
    ),
    [](const auto& entry) { return entry.param.name; }
);

TEST(CgroupLimitsTest, TakesUnifiedFilesLast) {
    oci::Resources resources = pids(3);
    resources.unified = {{"pids.max", "5"}, {"hugetlb.2MB.max", "0"}};
    EXPECT_THAT(
        cgroup_writes(resources),
        ElementsAre(
            CgroupWrite{"pids", "pids.max", "3"},
            CgroupWrite{
                "hugetlb", "hugetlb.2MB.max", "0", "linux.resources.unified.hugetlb.2MB.max"
            },
            CgroupWrite{"pids", "pids.max", "5"}
        )
    );
}

TEST(CgroupLimitsTest, LimitsHugePagesWhereThereAreAny) {
    oci::Resources resources;
    resources.hugepage_limits = {{"2MB", 6}, {"64KB", 0}};
    const std::string first = "linux.resources.hugepageLimits[0]";
    const std::string second = "linux.resources.hugepageLimits[1]";
    EXPECT_THAT(
        cgroup_writes(resources),
        ElementsAre(
            CgroupWrite{"hugetlb", "hugetlb.2MB.max", "6", first},
            CgroupWrite{"hugetlb", "hugetlb.2MB.rsvd.max", "6", first},
            CgroupWrite{"hugetlb", "hugetlb.64KB.max", "0", second},
            CgroupWrite{"hugetlb", "hugetlb.64KB.rsvd.max", "0", second}
        )
    );
    for (const char* size : {"", "2", "MB", "2mb", "2MBx", "../2MB", "2 MB", "-2MB"}) {
        resources.hugepage_limits = {{size, 1}};
        EXPECT_EQ(
            testing::failure_of([&] { cgroup_writes(resources); }),
            "linux.resources.hugepageLimits[0].pageSize: must be a number with KB, MB or GB"
        ) << size;
    }
}

TEST(CgroupLimitsTest, RefusesUnifiedNamesThatAreNoFilesOfControllers) {
    for (const char* name :
         {"", "memory", ".max", "../x.max", "a/b.max", "cgroup.procs", "a b.c"}) {
        oci::Resources resources;
        resources.unified = {{name, "1"}};
        EXPECT_THROW(cgroup_writes(resources), Error) << name;
    }
}

TEST(CgroupLimitsTest, RefusesBytesBelowNoLimit) {
    EXPECT_EQ(
        testing::failure_of([] { cgroup_writes(memory({.limit = -5})); }),
        "linux.resources.memory.limit: must be a number of bytes, or -1 for no limit"
    );
    EXPECT_THROW(cgroup_writes(memory({.swap = -2})), Error);
    EXPECT_THROW(cgroup_writes(memory({.reservation = -2})), Error);
}

TEST(CgroupLimitsTest, RefusesSwapThatDoesNotIncludeMemory) {
    EXPECT_THROW(cgroup_writes(memory({.limit = 1000, .swap = 999})), Error);
    EXPECT_EQ(
        testing::failure_of([] { cgroup_writes(memory({.limit = 1000, .swap = 999})); }),
        "linux.resources.memory.swap: is below memory.limit, which it includes"
    );
    EXPECT_THROW(cgroup_writes(memory({.swap = 999})), Error);
    EXPECT_THROW(cgroup_writes(memory({.limit = -1, .swap = 999})), Error);
}

} // namespace
} // namespace cppvm::guest
