#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <sys/types.h>

namespace cppvm {

/// Who has a run directory and since when, for people and tools: `sandbox.json` in it. Nothing of
/// the product reads it to decide anything (docs/adr/0004-names-instead-of-a-state-file.md).
struct SandboxDescription {
    std::string sandbox_id;
    std::string containerd_namespace;
    std::string address; ///< containerd's gRPC socket
    std::filesystem::path bundle;
    std::string version; ///< of the daemon
    std::string build_id;
    pid_t daemon = 0;
    std::chrono::system_clock::time_point started; ///< kept to the nanosecond

    friend bool operator==(const SandboxDescription&, const SandboxDescription&) = default;
};

/// Throws: Error.
void write_description(const std::filesystem::path& run_dir, const SandboxDescription& description);

/// Nothing if it is missing or damaged.
std::optional<SandboxDescription> read_description(const std::filesystem::path& run_dir) noexcept;

/// Where the daemon's control service (proto/cppvm/control.proto) listens.
std::filesystem::path control_socket_path(const std::filesystem::path& run_dir);

} // namespace cppvm
