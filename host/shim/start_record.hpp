#pragma once

#include "host/pod/pod_spec.hpp"

#include <filesystem>
#include <optional>
#include <string>

namespace cppvm::shim {

/// What `start` found out and its successors in the same bundle, the daemon and `delete`, must
/// know: neither of them is given the runtime options again. `<bundle>/cppvm-start.json`.
struct StartRecord {
    std::string id; ///< of the container that was started
    pod::PodSpec pod;
    std::string socket;         ///< path
    std::string ttrpc_address;  ///< containerd's, for events; empty: there is none
    std::string publish_binary; ///< containerd's executable
    std::string config;         ///< the effective configuration, config::to_toml
    std::string config_sources; ///< for people: where it came from
    /// containerd asks for at least this much: "trace", "debug" or empty.
    std::string log_level;

    friend bool operator==(const StartRecord&, const StartRecord&) = default;
};

std::filesystem::path start_record_path(const std::filesystem::path& bundle);

/// Throws: Error.
void write_start_record(const std::filesystem::path& bundle, const StartRecord& record);

/// Throws: Error naming the file if it is missing, damaged or too large.
StartRecord read_start_record(const std::filesystem::path& bundle);

} // namespace cppvm::shim
