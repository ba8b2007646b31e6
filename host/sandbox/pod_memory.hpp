#pragma once

#include <cstdint>
#include <functional>
#include <optional>

namespace cppvm::sandbox {

/// What the pod's cgroup on the host says of memory; empty functions: nothing.
struct PodMemory {
    std::function<std::optional<std::uint64_t>()> limit; ///< bytes
    std::function<std::uint64_t()> kills;                ///< processes killed for want of it
};

} // namespace cppvm::sandbox
