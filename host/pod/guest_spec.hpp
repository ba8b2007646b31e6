#pragma once

#include "common/oci/spec.hpp"
#include "host/storage/share.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace cppvm::sandbox {

/// An OCI spec made fit for the guest, and what the host has to do for it. Plain data.
struct GuestSpec {
    /// The spec for the agent (JSON), which names no path of the host. Root and bind mounts are
    /// left open until it is known where they are on the share: see `text_for`.
    std::string text;
    /// root.path as the bundle has it, for a container without rootfs mounts. Absolute.
    std::filesystem::path rootfs_source;
    /// The bind mounts, and which of the spec's mounts each is.
    std::vector<storage::VolumeSpec> volumes;
    std::vector<std::size_t> volume_mounts;
    /// Where the network namespace is that it asks for, if it names one. It gets its pod's.
    std::filesystem::path network_path;
    oci::Process process; ///< of the init
    /// JSON paths that the host takes no account of.
    std::vector<std::string> unsupported;
};

/// The spec for the agent, with root and bind mounts at their places in the guest.
std::string text_for(const GuestSpec& spec, const storage::SharedNames& names);

/// Reads and translates `<bundle>/config.json`.
/// Throws: Error (failed_precondition if it is not there, invalid_argument for what is in it,
/// resource_exhausted if it is too large) that names the file.
GuestSpec load_guest_spec(const std::filesystem::path& bundle);

/// The translation alone. Throws: Error (invalid_argument, unimplemented) with the JSON path.
GuestSpec make_guest_spec(std::string_view config, const std::filesystem::path& bundle);

} // namespace cppvm::sandbox
