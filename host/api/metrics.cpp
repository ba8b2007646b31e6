#include "host/api/metrics.hpp"

#include "proto/containerd/metrics_v1.pb.h"
#include "proto/containerd/metrics_v2.pb.h"

#include <limits>
#include <linux/magic.h>
#include <string>
#include <sys/vfs.h>

namespace cppvm::api {

namespace {

namespace v1 = ::io::containerd::cgroups::v1;
namespace v2 = ::io::containerd::cgroups::v2;

constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t ns_per_us = 1000;

/// What the guest has said, by name; 0 for what it has not. Borrows the answer.
class Numbers {
  public:
    explicit Numbers(const google::protobuf::Map<std::string, std::uint64_t>& values)
        : values_(values) {}

    std::uint64_t operator()(const char* name) const {
        const auto found = values_.find(name);
        return found == values_.end() ? 0 : found->second;
    }

    std::uint64_t limit(const char* name) const {
        const auto found = values_.find(name);
        return found == values_.end() ? unlimited : found->second;
    }

  private:
    const google::protobuf::Map<std::string, std::uint64_t>& values_;
};

std::uint64_t add_limits(std::uint64_t left, std::uint64_t right) noexcept {
    return left > unlimited - right ? unlimited : left + right;
}

template <class Stat>
void fill_network(Stat& to, const agent::v2::StatsResponse::Interface& from) {
    to.set_name(from.name());
    to.set_rx_bytes(from.rx_bytes());
    to.set_rx_packets(from.rx_packets());
    to.set_rx_errors(from.rx_errors());
    to.set_rx_dropped(from.rx_dropped());
    to.set_tx_bytes(from.tx_bytes());
    to.set_tx_packets(from.tx_packets());
    to.set_tx_errors(from.tx_errors());
    to.set_tx_dropped(from.tx_dropped());
}

void fill_cpu(v1::CPUStat& to, const Numbers& numbers) {
    to.mutable_usage()->set_total(numbers("cpu.stat.usage_usec") * ns_per_us);
    to.mutable_usage()->set_kernel(numbers("cpu.stat.system_usec") * ns_per_us);
    to.mutable_usage()->set_user(numbers("cpu.stat.user_usec") * ns_per_us);
    to.mutable_throttling()->set_periods(numbers("cpu.stat.nr_periods"));
    to.mutable_throttling()->set_throttled_periods(numbers("cpu.stat.nr_throttled"));
    to.mutable_throttling()->set_throttled_time(numbers("cpu.stat.throttled_usec") * ns_per_us);
}

void fill_memory(v1::MemoryStat& to, const Numbers& numbers) {
    const auto both = [&](const char* name, auto set, auto set_total) {
        (to.*set)(numbers(name));
        (to.*set_total)(numbers(name));
    };
    using Stat = v1::MemoryStat;
    both("memory.stat.file", &Stat::set_cache, &Stat::set_total_cache);
    both("memory.stat.anon", &Stat::set_rss, &Stat::set_total_rss);
    both("memory.stat.anon_thp", &Stat::set_rss_huge, &Stat::set_total_rss_huge);
    both("memory.stat.file_mapped", &Stat::set_mapped_file, &Stat::set_total_mapped_file);
    both("memory.stat.file_dirty", &Stat::set_dirty, &Stat::set_total_dirty);
    both("memory.stat.file_writeback", &Stat::set_writeback, &Stat::set_total_writeback);
    both("memory.stat.pgfault", &Stat::set_pg_fault, &Stat::set_total_pg_fault);
    both("memory.stat.pgmajfault", &Stat::set_pg_maj_fault, &Stat::set_total_pg_maj_fault);
    both("memory.stat.inactive_anon", &Stat::set_inactive_anon, &Stat::set_total_inactive_anon);
    both("memory.stat.active_anon", &Stat::set_active_anon, &Stat::set_total_active_anon);
    both("memory.stat.inactive_file", &Stat::set_inactive_file, &Stat::set_total_inactive_file);
    both("memory.stat.active_file", &Stat::set_active_file, &Stat::set_total_active_file);
    both("memory.stat.unevictable", &Stat::set_unevictable, &Stat::set_total_unevictable);
    const std::uint64_t limit = numbers.limit("memory.max");
    const std::uint64_t limit_with_swap = add_limits(limit, numbers.limit("memory.swap.max"));
    to.set_hierarchical_memory_limit(limit);
    to.set_hierarchical_swap_limit(limit_with_swap);
    to.mutable_usage()->set_limit(limit);
    to.mutable_usage()->set_usage(numbers("memory.current"));
    to.mutable_usage()->set_max(numbers("memory.peak"));
    to.mutable_usage()->set_failcnt(numbers("memory.events.max"));
    to.mutable_swap()->set_limit(limit_with_swap);
    to.mutable_swap()->set_usage(
        add_limits(numbers("memory.current"), numbers("memory.swap.current"))
    );
}

void add_io(
    google::protobuf::RepeatedPtrField<v1::BlkIOEntry>& to,
    const agent::v2::StatsResponse::Device& device,
    const char* op,
    const char* name
) {
    v1::BlkIOEntry& entry = *to.Add();
    entry.set_op(op);
    entry.set_major(device.major());
    entry.set_minor(device.minor());
    entry.set_value(Numbers(device.values())(name));
}

v1::Metrics to_v1(const agent::v2::StatsResponse& stats) {
    const Numbers numbers(stats.values());
    v1::Metrics metrics;
    metrics.mutable_pids()->set_current(numbers("pids.current"));
    const std::uint64_t most = numbers.limit("pids.max");
    metrics.mutable_pids()->set_limit(most == unlimited ? 0 : most);
    fill_cpu(*metrics.mutable_cpu(), numbers);
    fill_memory(*metrics.mutable_memory(), numbers);
    metrics.mutable_memory_oom_control()->set_oom_kill(numbers("memory.events.oom_kill"));
    auto& io = *metrics.mutable_blkio(); // there without devices too: clients rely on it
    for (const auto& device : stats.devices()) {
        auto& bytes = *io.mutable_io_service_bytes_recursive();
        add_io(bytes, device, "Read", "rbytes");
        add_io(bytes, device, "Write", "wbytes");
        auto& operations = *io.mutable_io_serviced_recursive();
        add_io(operations, device, "Read", "rios");
        add_io(operations, device, "Write", "wios");
    }
    for (const auto& interface : stats.interfaces()) {
        fill_network(*metrics.add_network(), interface);
    }
    return metrics;
}

void fill_cpu(v2::CPUStat& to, const Numbers& numbers) {
    to.set_usage_usec(numbers("cpu.stat.usage_usec"));
    to.set_user_usec(numbers("cpu.stat.user_usec"));
    to.set_system_usec(numbers("cpu.stat.system_usec"));
    to.set_nr_periods(numbers("cpu.stat.nr_periods"));
    to.set_nr_throttled(numbers("cpu.stat.nr_throttled"));
    to.set_throttled_usec(numbers("cpu.stat.throttled_usec"));
}

void fill_memory(v2::MemoryStat& to, const Numbers& numbers) {
    to.set_anon(numbers("memory.stat.anon"));
    to.set_file(numbers("memory.stat.file"));
    to.set_kernel_stack(numbers("memory.stat.kernel_stack"));
    to.set_slab(numbers("memory.stat.slab"));
    to.set_sock(numbers("memory.stat.sock"));
    to.set_shmem(numbers("memory.stat.shmem"));
    to.set_file_mapped(numbers("memory.stat.file_mapped"));
    to.set_file_dirty(numbers("memory.stat.file_dirty"));
    to.set_file_writeback(numbers("memory.stat.file_writeback"));
    to.set_anon_thp(numbers("memory.stat.anon_thp"));
    to.set_inactive_anon(numbers("memory.stat.inactive_anon"));
    to.set_active_anon(numbers("memory.stat.active_anon"));
    to.set_inactive_file(numbers("memory.stat.inactive_file"));
    to.set_active_file(numbers("memory.stat.active_file"));
    to.set_unevictable(numbers("memory.stat.unevictable"));
    to.set_slab_reclaimable(numbers("memory.stat.slab_reclaimable"));
    to.set_slab_unreclaimable(numbers("memory.stat.slab_unreclaimable"));
    to.set_pgfault(numbers("memory.stat.pgfault"));
    to.set_pgmajfault(numbers("memory.stat.pgmajfault"));
    to.set_workingset_refault(
        numbers("memory.stat.workingset_refault_anon") +
        numbers("memory.stat.workingset_refault_file")
    );
    to.set_workingset_activate(
        numbers("memory.stat.workingset_activate_anon") +
        numbers("memory.stat.workingset_activate_file")
    );
    to.set_workingset_nodereclaim(numbers("memory.stat.workingset_nodereclaim"));
    to.set_pgrefill(numbers("memory.stat.pgrefill"));
    to.set_pgscan(numbers("memory.stat.pgscan"));
    to.set_pgsteal(numbers("memory.stat.pgsteal"));
    to.set_pgactivate(numbers("memory.stat.pgactivate"));
    to.set_pgdeactivate(numbers("memory.stat.pgdeactivate"));
    to.set_pglazyfree(numbers("memory.stat.pglazyfree"));
    to.set_pglazyfreed(numbers("memory.stat.pglazyfreed"));
    to.set_thp_fault_alloc(numbers("memory.stat.thp_fault_alloc"));
    to.set_thp_collapse_alloc(numbers("memory.stat.thp_collapse_alloc"));
    to.set_usage(numbers("memory.current"));
    to.set_usage_limit(numbers.limit("memory.max"));
    to.set_swap_usage(numbers("memory.swap.current"));
    to.set_swap_limit(numbers.limit("memory.swap.max"));
    to.set_max_usage(numbers("memory.peak"));
    to.set_swap_max_usage(numbers("memory.swap.peak"));
}

v2::Metrics to_v2(const agent::v2::StatsResponse& stats) {
    const Numbers numbers(stats.values());
    v2::Metrics metrics;
    metrics.mutable_pids()->set_current(numbers("pids.current"));
    metrics.mutable_pids()->set_limit(numbers.limit("pids.max"));
    fill_cpu(*metrics.mutable_cpu(), numbers);
    fill_memory(*metrics.mutable_memory(), numbers);
    auto& kills = *metrics.mutable_memory_events();
    kills.set_low(numbers("memory.events.low"));
    kills.set_high(numbers("memory.events.high"));
    kills.set_max(numbers("memory.events.max"));
    kills.set_oom(numbers("memory.events.oom"));
    kills.set_oom_kill(numbers("memory.events.oom_kill"));
    auto& usage = *metrics.mutable_io()->mutable_usage(); // as in to_v1
    for (const auto& device : stats.devices()) {
        const Numbers io(device.values());
        auto& entry = *usage.Add();
        entry.set_major(device.major());
        entry.set_minor(device.minor());
        entry.set_rbytes(io("rbytes"));
        entry.set_wbytes(io("wbytes"));
        entry.set_rios(io("rios"));
        entry.set_wios(io("wios"));
    }
    for (const auto& interface : stats.interfaces()) {
        fill_network(*metrics.add_network(), interface);
    }
    return metrics;
}

template <class Message>
google::protobuf::Any pack(const Message& message) {
    google::protobuf::Any any;
    any.set_type_url(message.GetTypeName());
    any.set_value(message.SerializeAsString());
    return any;
}

} // namespace

CgroupVersion cgroup_version_of_host() noexcept {
    struct statfs file_system{};
    const bool is_v2 =
        ::statfs("/sys/fs/cgroup", &file_system) == 0 && file_system.f_type == CGROUP2_SUPER_MAGIC;
    return is_v2 ? CgroupVersion::v2 : CgroupVersion::v1;
}

google::protobuf::Any to_metrics(const agent::v2::StatsResponse& stats, CgroupVersion version) {
    return version == CgroupVersion::v1 ? pack(to_v1(stats)) : pack(to_v2(stats));
}

} // namespace cppvm::api
