#pragma once

#include "host/cgroup/hierarchy.hpp"

#include <cstdint>
#include <optional>

namespace cppvm::cgroup {

/// What a cgroup uses now, or has used so far. Nothing: this host does not account for it.
struct Usage {
    std::optional<std::uint64_t> memory_bytes;
    std::optional<std::uint64_t> cpu_microseconds;
    std::optional<std::uint64_t> tasks; ///< processes and their threads
    std::optional<std::uint64_t> io_read_bytes;
    std::optional<std::uint64_t> io_written_bytes;
};

/// Of the cgroup at `location` in these hierarchies. Does not throw.
Usage read_usage(
    const std::filesystem::path& location, const std::vector<Hierarchy>& hierarchies
) noexcept;

/// How many processes the kernel has killed in these cgroups, which account for memory, for want
/// of it, under a limit of their own or of one above them; 0 where nothing tells. Does not throw.
std::uint64_t memory_kills(const std::vector<std::filesystem::path>& directories) noexcept;

/// The least memory limit of these cgroups, which account for memory, and those above them, in
/// bytes. Nothing: there is none. Does not throw.
std::optional<std::uint64_t> memory_limit(const std::vector<std::filesystem::path>& directories
) noexcept;

} // namespace cppvm::cgroup
