#pragma once

#include "host/network/namespace_spec.hpp"
#include "host/storage/share.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace cppvm::sandbox {

/// An OCI spec made fit for the guest, and what the host has to do for it. Plain data.
struct GuestSpec {
    /// The spec for the agent (JSON). It names no path of the host: root and bind mounts point
    /// below the share (wire::guest_share_path).
    std::string text;
    /// root.path as the bundle has it, for a container without rootfs mounts. Absolute.
    std::filesystem::path rootfs_source;
    /// The bind mounts, in the order of their numbers in the share.
    std::vector<storage::VolumeSpec> volumes;
    network::NamespaceSpec network;
    /// JSON paths that the host takes no account of.
    std::vector<std::string> unsupported;
};

/// Reads and translates `<bundle>/config.json`.
/// Throws: Error (failed_precondition if it is not there, invalid_argument for what is in it,
/// resource_exhausted if it is too large) that names the file.
GuestSpec load_guest_spec(const std::filesystem::path& bundle, const std::string& container_id);

/// The translation alone. Throws: Error (invalid_argument, unimplemented) with the JSON path.
GuestSpec make_guest_spec(
    std::string_view config, const std::filesystem::path& bundle, const std::string& container_id
);

} // namespace cppvm::sandbox
