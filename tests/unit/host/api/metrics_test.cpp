#include "host/api/metrics.hpp"
#include "proto/containerd/metrics_v1.pb.h"
#include "proto/containerd/metrics_v2.pb.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace cppvm::api {
namespace {

namespace v1 = ::io::containerd::cgroups::v1;
namespace v2 = ::io::containerd::cgroups::v2;

constexpr std::uint64_t unlimited = ~std::uint64_t{0};

agent::v2::StatsResponse example() {
    agent::v2::StatsResponse stats;
    auto& values = *stats.mutable_values();
    values["memory.current"] = 1000;
    values["memory.max"] = 4000;
    values["memory.swap.current"] = 50;
    values["memory.swap.max"] = unlimited;
    values["memory.stat.anon"] = 600;
    values["memory.stat.inactive_file"] = 70;
    values["memory.events.oom_kill"] = 2;
    values["cpu.stat.usage_usec"] = 9;
    values["pids.current"] = 3;
    values["pids.max"] = unlimited;
    auto* const device = stats.add_devices();
    device->set_major(253);
    (*device->mutable_values())["rbytes"] = 512;
    auto* const interface = stats.add_interfaces();
    interface->set_name("eth0");
    interface->set_tx_bytes(11);
    return stats;
}

TEST(MetricsTest, SpeakVersion2) {
    const auto any = to_metrics(example(), CgroupVersion::v2);
    EXPECT_EQ(any.type_url(), "io.containerd.cgroups.v2.Metrics");
    v2::Metrics metrics;
    ASSERT_TRUE(metrics.ParseFromString(any.value()));
    EXPECT_EQ(metrics.memory().usage(), 1000U);
    EXPECT_EQ(metrics.memory().usage_limit(), 4000U);
    EXPECT_EQ(metrics.memory().swap_limit(), unlimited);
    EXPECT_EQ(metrics.memory().anon(), 600U);
    EXPECT_EQ(metrics.memory_events().oom_kill(), 2U);
    EXPECT_EQ(metrics.cpu().usage_usec(), 9U);
    EXPECT_EQ(metrics.pids().limit(), unlimited);
    EXPECT_EQ(metrics.io().usage(0).rbytes(), 512U);
    EXPECT_EQ(metrics.network(0).tx_bytes(), 11U);
}

TEST(MetricsTest, SpeakVersion1) {
    const auto any = to_metrics(example(), CgroupVersion::v1);
    EXPECT_EQ(any.type_url(), "io.containerd.cgroups.v1.Metrics");
    v1::Metrics metrics;
    ASSERT_TRUE(metrics.ParseFromString(any.value()));
    EXPECT_EQ(metrics.memory().usage().usage(), 1000U);
    EXPECT_EQ(metrics.memory().usage().limit(), 4000U);
    EXPECT_EQ(metrics.memory().swap().usage(), 1050U);
    EXPECT_EQ(metrics.memory().swap().limit(), unlimited);
    EXPECT_EQ(metrics.memory().total_rss(), 600U);
    EXPECT_EQ(metrics.memory().total_inactive_file(), 70U);
    EXPECT_EQ(metrics.memory_oom_control().oom_kill(), 2U);
    EXPECT_EQ(metrics.cpu().usage().total(), 9000U);
    EXPECT_EQ(metrics.pids().current(), 3U);
    EXPECT_EQ(metrics.pids().limit(), 0U);
    EXPECT_EQ(metrics.blkio().io_service_bytes_recursive(0).op(), "Read");
    EXPECT_EQ(metrics.blkio().io_service_bytes_recursive(0).value(), 512U);
    EXPECT_EQ(metrics.network(0).name(), "eth0");
}

TEST(MetricsTest, HaveNoLimitWhereTheGuestSaysNone) {
    v2::Metrics metrics;
    ASSERT_TRUE(metrics.ParseFromString(to_metrics({}, CgroupVersion::v2).value()));
    EXPECT_EQ(metrics.memory().usage_limit(), unlimited);
    EXPECT_EQ(metrics.memory().usage(), 0U);
}

TEST(MetricsTest, HaveEachPartWhereTheGuestSaysNothing) {
    // `nerdctl stats` reads them without a look whether they are there.
    v1::Metrics old;
    ASSERT_TRUE(old.ParseFromString(to_metrics({}, CgroupVersion::v1).value()));
    EXPECT_TRUE(old.has_pids() && old.has_cpu() && old.memory().has_usage() && old.has_blkio());
    v2::Metrics metrics;
    ASSERT_TRUE(metrics.ParseFromString(to_metrics({}, CgroupVersion::v2).value()));
    EXPECT_TRUE(
        metrics.has_pids() && metrics.has_cpu() && metrics.has_memory() && metrics.has_io()
    );
}

} // namespace
} // namespace cppvm::api
