#pragma once

#include "common/oci/spec.hpp"
#include "host/storage/share.hpp"

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace cppvm::storage {

/// What the root file system and the mounts of an OCI spec come to: what the share has to show, and
/// what the guest mounts. Plain data.
struct StoragePlan {
    /// root.path as the bundle has it, for a container without rootfs mounts. Absolute.
    std::filesystem::path rootfs_source;
    /// The bind mounts, in the order of the spec.
    std::vector<VolumeSpec> volumes;
    /// The spec's mounts, as the guest mounts them. Those of volumes have no source before
    /// `set_sources`.
    std::vector<oci::Mount> mounts;
    /// For each volume, which of `mounts` it is.
    std::vector<std::size_t> volume_mounts;
    std::vector<std::string> unsupported; ///< JSON paths
};

/// The number of the character device at a path of the host; nothing where there is no such device.
using DeviceAt = std::function<std::optional<dev_t>(const std::filesystem::path&)>;

/// Decides how each mount gets into the guest; does nothing itself but ask `device_at` about the
/// sources of bind mounts. Relative paths are the bundle's.
/// Throws: Error (invalid_argument, failed_precondition for a device that the guest cannot have,
/// unimplemented for a file system that it has not) that starts with the JSON path.
StoragePlan
plan_storage(const oci::Spec& spec, const std::filesystem::path& bundle, const DeviceAt& device_at);

/// Points the root and the mounts of `spec`, whose storage was planned, at their places in the
/// guest.
void set_sources(oci::Spec& spec, const StoragePlan& plan, const SharedNames& names);

} // namespace cppvm::storage
