#pragma once

#include "common/base/unique_fd.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <sys/types.h>

namespace cppvm {

/// A process named so that a reused pid is not taken for it: pid and start time (field 22 of
/// proc_pid_stat(5), in clock ticks after boot).
struct ProcessId {
    pid_t pid = 0;
    std::uint64_t start_time = 0;

    friend bool operator==(const ProcessId&, const ProcessId&) = default;
};

/// Of a process that runs (or is a zombie). Nothing if there is none. Throws: Error on other
/// faults.
std::optional<ProcessId> find_process(pid_t pid);

/// A pidfd of exactly this process; empty if it is gone. Throws: Error.
UniqueFd open_pidfd(const ProcessId& process);

/// Sends a signal through a pidfd. False if the process is gone. Throws: Error.
bool signal_pidfd(int pidfd, int signal);

/// Waits until the process of a pidfd has ended. False when `timeout_ms` ran out. Blocks.
bool wait_pidfd(int pidfd, int timeout_ms);

/// Kills a process and waits up to a second for its end, if it still runs. False when that ran out.
/// Throws: Error. Blocks.
bool kill_process(const ProcessId& process);

/// "<pid> <start time>\n", the form of our pid files, and back.
std::string to_text(const ProcessId& process);
std::optional<ProcessId> parse_process_id(std::string_view text) noexcept;

} // namespace cppvm
