#pragma once

#include "guest-agent/cgroup/numbers.hpp"

#include <filesystem>

namespace cppvm::guest {

/// What a cgroup uses. Plain data.
struct CgroupStats {
    std::map<std::string, std::uint64_t> values; ///< "memory.current", "memory.stat.anon"
    std::vector<DeviceNumbers> devices;          ///< io.stat
};

/// What the kernel does not have is left out. Throws: Error on other faults.
CgroupStats read_stats(const std::filesystem::path& cgroup);

} // namespace cppvm::guest
