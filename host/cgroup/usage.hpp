#pragma once

#include "host/cgroup/hierarchy.hpp"

#include <cstdint>
#include <optional>

namespace cppvm::cgroup {

/// What a cgroup uses now, or has used so far. Nothing: this host does not account for it.
/// With version 2 a cgroup may not account for everything. What it does not account for is taken
/// from the nearest cgroup above it that does, short of the root: a pod's systemd slice accounts
/// for everything in it.
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

/// How many processes the kernel has killed there for want of memory, under a limit of that cgroup
/// or of one above it; 0 where nothing tells. Counted where memory is accounted for, as with Usage.
/// Does not throw.
std::uint64_t memory_kills(
    const std::filesystem::path& location, const std::vector<Hierarchy>& hierarchies
) noexcept;

/// The least memory limit of that cgroup and those above it, in bytes. Nothing: there is none.
/// Does not throw.
std::optional<std::uint64_t> memory_limit(
    const std::filesystem::path& location, const std::vector<Hierarchy>& hierarchies
) noexcept;

} // namespace cppvm::cgroup
