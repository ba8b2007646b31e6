#include "tests/e2e/probe/probe.hpp"

#include <array>
#include <string_view>
#include <sys/resource.h>
#include <utility>

namespace cppvm::probe {

namespace {

std::string to_text(rlim_t value) {
    return value == RLIM_INFINITY ? "unlimited" : std::to_string(value);
}

Json rlimits() {
    constexpr std::array names = {
        "CPU",
        "FSIZE",
        "DATA",
        "STACK",
        "CORE",
        "RSS",
        "NPROC",
        "NOFILE",
        "MEMLOCK",
        "AS",
        "LOCKS",
        "SIGPENDING",
        "MSGQUEUE",
        "NICE",
        "RTPRIO",
        "RTTIME"
    };
    Json result;
    for (std::size_t number = 0; number < names.size(); ++number) {
        rlimit limit{};
        ::getrlimit(static_cast<__rlimit_resource>(number), &limit);
        result[names[number]] = to_text(limit.rlim_cur) + ":" + to_text(limit.rlim_max);
    }
    return result;
}

/// A limit under the name that each version of cgroups has for it, where it is mounted. The guest's
/// is version 2, and its hierarchy may be mounted from its root on.
struct Limit {
    const char* name;
    std::array<const char*, 2> files; ///< version 2, version 1
};

constexpr std::array file_limits = {
    Limit{"memory", {"memory.max", "memory/memory.limit_in_bytes"}},
    Limit{"reservation", {"memory.low", "memory/memory.soft_limit_in_bytes"}},
    Limit{"pids", {"pids.max", "pids/pids.max"}},
    Limit{"processors", {"cpuset.cpus.effective", "cpuset/cpuset.effective_cpus"}},
    Limit{"idle", {"cpu.idle", "cpu/cpu.idle"}},
    Limit{"burst", {"cpu.max.burst", "cpu/cpu.cfs_burst_us"}},
};

std::string own_cgroup() {
    const std::string text = read_text("/proc/self/cgroup");
    const auto begin = text.find("0::");
    return begin == std::string::npos ? ""
                                      : text.substr(begin + 3, text.find('\n', begin) - begin - 3);
}

/// First line of a file of the process's own cgroup.
std::string read_own(const std::string& name) {
    std::string text = read_text("/sys/fs/cgroup/" + name);
    if (text.empty()) {
        text = read_text("/sys/fs/cgroup" + own_cgroup() + "/" + name);
    }
    return text.substr(0, text.find('\n'));
}

/// No limit, in either version's words.
std::string plain(const std::string& value) {
    constexpr std::size_t digits_of_no_limit = 19; // 2^63, rounded to pages
    return value == "max" || value == "-1" || value.size() >= digits_of_no_limit ? "none" : value;
}

Json processor_limits() {
    Json result;
    const std::string both = read_own("cpu.max"); // "quota period"
    if (!both.empty()) {
        result["quota"] = plain(both.substr(0, both.find(' ')));
        result["period"] = both.substr(both.find(' ') + 1);
    } else {
        result["quota"] = plain(read_own("cpu/cpu.cfs_quota_us"));
        result["period"] = read_own("cpu/cpu.cfs_period_us");
    }
    return result;
}

Json cgroup_limits() {
    Json result = processor_limits();
    for (const Limit& limit : file_limits) {
        for (const char* const file : limit.files) {
            const std::string value = read_own(file);
            if (!value.empty()) {
                const bool is_default =
                    std::string_view(limit.name) == "reservation" && value == "0";
                result[limit.name] = is_default ? "none" : plain(value);
            }
        }
    }
    return result;
}

} // namespace

Json limits() {
    return {{"rlimits", rlimits()}, {"cgroup", cgroup_limits()}};
}

} // namespace cppvm::probe
