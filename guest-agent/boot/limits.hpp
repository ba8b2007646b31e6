#pragma once

#include "common/log/logger.hpp"

#include <span>

namespace cppvm::guest {

/// A setting of the whole machine below /proc/sys.
struct MachineLimit {
    const char* path;
    const char* value;
};

/// Limits that a kernel derives from its memory, or that a host's system manager raises: a small
/// machine gets what a host has, because nobody asked for others. Each with its source.
std::span<const MachineLimit> machine_limits() noexcept;

/// Sets them, and the limits that processes inherit. What the kernel does not have is left out;
/// what it refuses is logged.
void apply_machine_limits(const Logger& logger);

} // namespace cppvm::guest
