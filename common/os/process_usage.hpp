#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace cppvm {

/// What a process is called and has used, proc(5).
struct ProcessUsage {
    pid_t pid = 0;
    std::string name;               ///< comm; bytes that are not printable are '?'
    std::uint64_t memory_bytes = 0; ///< proportional set size; 0 where it may not be read
    std::chrono::microseconds cpu{0};
};

/// Nothing if there is no such process, or no longer.
std::optional<ProcessUsage> read_process_usage(pid_t pid) noexcept;

/// The processes below `pid`, which is not among them; those that come and go meanwhile may be
/// missed. Empty where the kernel does not list children (CONFIG_PROC_CHILDREN).
std::vector<pid_t> descendants(pid_t pid) noexcept;

} // namespace cppvm
