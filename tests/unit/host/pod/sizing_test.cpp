#include "common/base/error.hpp"
#include "host/pod/sizing.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace cppvm::pod {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::int64_t mib = 1024L * 1024;
constexpr HostSize host = {8, 16384, {}};

config::Config configured() {
    config::Config config;
    config.vm.vcpus = 2;
    config.vm.memory_mib = 1024;
    config.vm.overhead_mib = 96;
    return config;
}

std::string error_of(const config::Config& config, const HostSize& on) {
    try {
        size_machine({}, config, on);
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::invalid_argument);
        return error.message();
    }
    return {};
}

MachineSize size_of(const Limits& limits) {
    return size_machine(limits, configured(), host);
}

TEST(SizingTest, GivesWhatIsConfiguredWhereNothingIsSaid) {
    for (const std::int64_t none : {0L, -1L, INT64_MIN}) {
        const MachineSize size = size_of({none, none, 100000});
        EXPECT_EQ(size.vcpus, 2U);
        EXPECT_EQ(size.memory_mib, 1024U);
        EXPECT_THAT(size.cut, IsEmpty());
    }
}

TEST(SizingTest, AddsWhatTheGuestNeedsToAMemoryLimit) {
    EXPECT_EQ(size_of({640 * mib, 0, 0}).memory_mib, 640U + 96 + 10);
    EXPECT_EQ(size_of({4096 * mib, 0, 0}).memory_mib, 4096U + 96 + 64);
    EXPECT_EQ(size_of({1, 0, 0}).memory_mib, 1U + 96);
    EXPECT_EQ(size_of({640 * mib, 0, 0}).vcpus, 2U);
}

TEST(SizingTest, GivesAsManyProcessorsAsTheQuotaIsWorth) {
    EXPECT_EQ(size_of({0, 150000, 100000}).vcpus, 2U);
    EXPECT_EQ(size_of({0, 1, 100000}).vcpus, 1U);
    EXPECT_EQ(size_of({0, 300000, 0}).vcpus, 3U); // the kernel's own period
    EXPECT_EQ(size_of({0, 100000, 20000}).vcpus, 5U);
    EXPECT_EQ(size_of({0, 300000, 0}).memory_mib, 1024U);
}

TEST(SizingTest, GivesNoMoreThanTheHostHas) {
    EXPECT_EQ(size_of({0, 10'000 * 100'000L, 100000}).vcpus, 8U);
    EXPECT_EQ(size_of({0, INT64_MAX, 1}).vcpus, 8U);
    for (const std::int64_t limit : {16384 * mib, 1L << 60, INT64_MAX}) {
        const MachineSize size = size_of({limit, 0, 0});
        EXPECT_EQ(size.memory_mib, 16384U);
        EXPECT_THAT(size.cut, HasSubstr("the host has 16384 MiB"));
    }
    EXPECT_EQ(
        size_of({1L << 60, 0, 0}).cut, "memory limit of 1099511627776 MiB: the host has 16384 MiB"
    );
}

TEST(SizingTest, GivesWholeHugePages) {
    config::Config config = configured();
    config.vm.huge_page_mib = 1024;
    EXPECT_EQ(size_machine({640 * mib, 0, 0}, config, host).memory_mib, 1024U);
    EXPECT_EQ(size_machine({1024 * mib, 0, 0}, config, host).memory_mib, 2048U);
    EXPECT_EQ(size_machine({1L << 60, 0, 0}, config, {8, 4000, {}}).memory_mib, 3072U);
}

TEST(SizingTest, RefusesWhatCouldNotBoot) {
    config::Config config = configured();
    config.vm.memory_mib = 80;
    EXPECT_EQ(
        error_of(config, host),
        "machine of 80 MiB: its guest alone needs 96 MiB; raise memory_mib in [vm]"
    );
    EXPECT_EQ(size_machine({64 * mib, 0, 0}, config, host).memory_mib, 64U + 96 + 1);
}

TEST(SizingTest, RefusesAPodWhoseCgroupHasNoRoomForAMachine) {
    config::Config config = configured();
    EXPECT_EQ(
        error_of(config, {8, 16384, 122}),
        "pod's cgroup may use 122 MiB of memory: a machine takes 123 MiB before its containers "
        "run; set overhead.podFixed.memory of the RuntimeClass to that much"
    );
    EXPECT_EQ(error_of(config, {8, 16384, 123}), "");
    config.hypervisor.acceleration = "emulation";
    EXPECT_NE(error_of(config, {8, 16384, 201}), "");
    EXPECT_EQ(error_of(config, {8, 16384, 202}), "");
}

TEST(SizingTest, KnowsTheHost) {
    const HostSize own = host_size();
    EXPECT_GE(own.processors, 1U);
    EXPECT_GE(own.memory_mib, 64U);
}

} // namespace
} // namespace cppvm::pod
