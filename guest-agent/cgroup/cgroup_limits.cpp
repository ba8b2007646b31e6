#include "guest-agent/cgroup/cgroup_limits.hpp"

#include "common/base/error.hpp"
#include "common/oci/refuse.hpp"

#include <algorithm>
#include <cctype>

namespace cppvm::guest {

namespace {

using oci::refuse;

std::string number_or_max(std::int64_t number) {
    return number < 0 ? "max" : std::to_string(number);
}

std::string bytes_or_max(const char* path, std::int64_t bytes) {
    if (bytes < -1) {
        refuse(path, "must be a number of bytes, or -1 for no limit");
    }
    return number_or_max(bytes);
}

void add_memory(const oci::MemoryResources& memory, std::vector<CgroupWrite>& writes) {
    // A limit of 0 is how Go programs write "none".
    const bool limited = memory.limit.value_or(0) != 0;
    if (limited && *memory.limit < 0 && memory.swap.value_or(0) == 0) {
        // In version 1 all of it was unlimited then.
        writes.push_back({"memory", "memory.swap.max", "max"});
    }
    if (memory.swap.value_or(0) != 0) {
        // The spec counts memory and swap together, cgroup v2 swap alone.
        std::int64_t swap = *memory.swap;
        if (swap > 0) {
            if (!limited || *memory.limit < 0) {
                refuse("linux.resources.memory.swap", "needs memory.limit, which it includes");
            }
            if (swap < *memory.limit) {
                refuse("linux.resources.memory.swap", "is below memory.limit, which it includes");
            }
            swap -= *memory.limit;
        }
        writes.push_back(
            {"memory", "memory.swap.max", bytes_or_max("linux.resources.memory.swap", swap)}
        );
    }
    if (limited) {
        const std::string limit = bytes_or_max("linux.resources.memory.limit", *memory.limit);
        writes.push_back({"memory", "memory.max", limit});
    }
    if (memory.reservation.value_or(0) != 0) {
        const std::string low =
            bytes_or_max("linux.resources.memory.reservation", *memory.reservation);
        writes.push_back({"memory", "memory.low", low});
    }
}

/// Shares (2 to 262144) to weight (1 to 10000), on a straight line.
std::uint64_t to_weight(std::uint64_t shares) {
    const std::uint64_t bounded = std::clamp<std::uint64_t>(shares, 2, 262144);
    return 1 + (bounded - 2) * 9999 / 262142;
}

void add_cpu(const oci::CpuResources& cpu, std::vector<CgroupWrite>& writes) {
    constexpr std::uint64_t default_period = 100000; // microseconds; cpu.max's own
    if (cpu.idle) {
        writes.push_back({"cpu", "cpu.idle", std::to_string(*cpu.idle)});
    }
    if (cpu.shares.value_or(0) != 0) {
        writes.push_back({"cpu", "cpu.weight", std::to_string(to_weight(*cpu.shares))});
    }
    const bool has_quota = cpu.quota.value_or(0) != 0 || cpu.period.value_or(0) != 0;
    if (cpu.burst && has_quota) {
        // The kernel takes no quota below the burst, nor a burst above the quota.
        writes.push_back({"cpu", "cpu.max.burst", "0"});
    }
    if (has_quota) {
        const std::int64_t quota = cpu.quota.value_or(-1);
        const std::uint64_t period = cpu.period.value_or(0);
        writes.push_back(
            {"cpu",
             "cpu.max",
             (quota > 0 ? std::to_string(quota) : "max") + " " +
                 std::to_string(period == 0 ? default_period : period)}
        );
    }
    if (cpu.burst) {
        writes.push_back({"cpu", "cpu.max.burst", std::to_string(*cpu.burst)});
    }
    if (!cpu.cpus.empty()) {
        writes.push_back({"cpuset", "cpuset.cpus", cpu.cpus});
    }
    if (!cpu.mems.empty()) {
        writes.push_back({"cpuset", "cpuset.mems", cpu.mems});
    }
}

void add_hugepages(
    const std::vector<oci::HugepageLimit>& limits, std::vector<CgroupWrite>& writes
) {
    for (std::size_t i = 0; i < limits.size(); ++i) {
        const std::string field = "linux.resources.hugepageLimits[" + std::to_string(i) + "]";
        const std::string& size = limits[i].page_size;
        const std::size_t unit = size.find_first_not_of("0123456789");
        if (unit == 0 || unit == std::string::npos ||
            (size.substr(unit) != "KB" && size.substr(unit) != "MB" && size.substr(unit) != "GB")) {
            refuse(field + ".pageSize", "must be a number with KB, MB or GB");
        }
        // Pages, and those that are promised to a mapping (hugetlb_rsvd of cgroup v1).
        for (const char* file : {".max", ".rsvd.max"}) {
            writes.push_back(
                {"hugetlb", "hugetlb." + size + file, std::to_string(limits[i].limit), field}
            );
        }
    }
}

CgroupWrite unified_write(const std::string& file, const std::string& value) {
    const bool plain = std::all_of(file.begin(), file.end(), [](unsigned char c) {
        return std::islower(c) != 0 || std::isdigit(c) != 0 || c == '.' || c == '_' || c == '-' ||
               std::isupper(c) != 0;
    });
    const std::size_t dot = file.find('.');
    if (!plain || dot == std::string::npos || dot == 0) {
        refuse("linux.resources.unified." + file.substr(0, 64), "is not the name of a cgroup file");
    }
    // cgroup.procs, cgroup.freeze and so on are the agent's.
    const std::string controller = file.substr(0, dot);
    if (controller == "cgroup") {
        refuse("linux.resources.unified." + file.substr(0, 64), "belongs to no controller");
    }
    // Without a limit there are no fewer pages in the guest than with one, as it has none.
    const bool optional = controller == "hugetlb";
    return {controller, file, value, optional ? "linux.resources.unified." + file : ""};
}

} // namespace

std::vector<CgroupWrite> cgroup_writes(const oci::Resources& resources) {
    std::vector<CgroupWrite> writes;
    add_memory(resources.memory, writes);
    add_cpu(resources.cpu, writes);
    if (resources.pids.limit.value_or(0) != 0) {
        writes.push_back({"pids", "pids.max", number_or_max(*resources.pids.limit)});
    }
    add_hugepages(resources.hugepage_limits, writes);
    for (const auto& [file, value] : resources.unified) {
        writes.push_back(unified_write(file, value));
    }
    return writes;
}

} // namespace cppvm::guest
