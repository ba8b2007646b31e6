#pragma once

#include "common/os/forked_child.hpp"
#include "host/storage/mount.hpp"
#include "host/storage/volume_table.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace cppvm::storage {

/// What of the host a container's file systems are made of.
struct ContainerStorage {
    std::string container_id;
    std::vector<MountSpec> rootfs_mounts; ///< as containerd sent them; empty: `rootfs` is complete
    std::filesystem::path rootfs;         ///< only used without `rootfs_mounts`
    std::vector<VolumeSpec> volumes;
    /// That of a RootWatch, for a root file system that others may write to; without
    /// `rootfs_mounts`.
    int root_watch = -1;
};

/// Descriptors of the mount namespaces of the two shares.
struct ShareNamespaces {
    int roots = -1;
    int volumes = -1;
};

/// The part of Share that runs in a forked child. First it opens everything, for as long as that
/// takes, and sends what the volumes are (SourceInfo), and the path of the root that is watched, if
/// it is (begin_watch). Then it receives the number of the root file
/// system and what to do with each volume (VolumePlan), attaches, for which no file system of the
/// host is asked, and says that it has. At last it looks at what is mounted below volumes that
/// differ from it (VolumeSpec::differs_below), as the guest will, sends the path of each mount
/// below the share, and then an empty one. `scratch` is an empty directory.
void add_in_child(
    ParentLink& parent,
    const ContainerStorage& storage,
    const std::filesystem::path& scratch,
    ShareNamespaces namespaces
);

/// The same for a container that goes. What is not there is not an error.
void remove_in_child(const Removal& removal, ShareNamespaces namespaces);

} // namespace cppvm::storage
