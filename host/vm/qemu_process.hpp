#pragma once

#include "common/log/logger.hpp"
#include "common/os/process_id.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace cppvm::vm {

/// QEMU's pid file in the run directory (to_text(ProcessId)).
inline constexpr const char* qemu_pid_file = "qemu.pid";

/// What a command line (as /proc/<pid>/cmdline has it, NUL between arguments) says about a process.
/// Pure, for is_qemu_of and find_machine_processes.
bool names_qemu_of(std::string_view command_line, std::string_view uuid) noexcept;
bool names_virtiofsd_of(
    std::string_view command_line, const std::filesystem::path& share_dir
) noexcept;

/// Whether a process is the QEMU of the domain with this UUID, by its command line.
bool is_qemu_of(const ProcessId& process, std::string_view uuid);

/// The QEMU of this UUID and the virtiofsds of this share, found by looking at every process of the
/// host: some 10 us for each. Throws: Error.
std::vector<ProcessId>
find_machine_processes(std::string_view uuid, const std::filesystem::path& share_dir);

/// Kills (SIGKILL) and awaits (at most 1 s each) what find_machine_processes finds. Does not throw;
/// logs a warning about what stays. Blocks.
void kill_machine_processes(
    std::string_view uuid, const std::filesystem::path& share_dir, const Logger& logger
) noexcept;

} // namespace cppvm::vm
