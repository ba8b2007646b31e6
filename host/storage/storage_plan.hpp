#pragma once

#include "common/oci/spec.hpp"
#include "host/storage/disk_source.hpp"
#include "host/storage/host_device.hpp"
#include "host/storage/host_socket.hpp"
#include "host/storage/share.hpp"

#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace cppvm::storage {

/// A root file system on a disk that the guest mounts. Plain data.
struct RootDisk {
    DiskSpec disk;
    std::string type;                 ///< "ext4"
    std::vector<std::string> options; ///< as of mount(8)
    /// Images of type erofs in the guest, the top one first: what the disk's files lie over. Empty
    /// where the disk has all of them.
    std::vector<std::string> layers = {};
};

/// An IOMMU group of the host. Plain data.
struct VfioGroup {
    unsigned number = 0;
    dev_t node = 0; ///< of /dev/vfio/<number>

    friend bool operator==(const VfioGroup&, const VfioGroup&) = default;
};

/// What the root file system and the mounts of an OCI spec come to: what the share has to show, and
/// what the guest mounts. Plain data.
struct StoragePlan {
    /// root.path as the bundle has it, for a container without rootfs mounts. Absolute.
    std::filesystem::path rootfs_source;
    /// For the share: containerd's, or with a root disk an empty file system, for two mounts of one
    /// disk would ruin what is on it.
    std::vector<MountSpec> rootfs_mounts;
    std::optional<RootDisk> root_disk;
    /// linux.devices as the guest has them; block devices by the host's numbers.
    std::vector<oci::Device> devices;
    /// The block devices among them, each once.
    std::vector<DiskSpec> disks;
    /// What the machine is to have of the host's hardware, each once. Their nodes are not among
    /// `devices`, nor is VFIO's own: the guest drives it by itself.
    std::vector<VfioGroup> vfio_groups;
    /// The bind mounts, in the order of the spec, then the layers of `root_disk`.
    std::vector<VolumeSpec> volumes;
    /// The spec's mounts, as the guest mounts them. Those of volumes have no source before
    /// `set_sources`.
    std::vector<oci::Mount> mounts;
    /// For each volume that is a bind mount, which of `mounts` it is.
    std::vector<std::size_t> volume_mounts;
    /// Paths in the guest of mounts below volumes that have other flags than the volume.
    std::vector<std::string> submounts;
    /// Sockets of the host's that are mounted, or in a directory that is, and which of `mounts`
    /// each is. Their sources are `set_socket_source`'s.
    std::vector<HostSocket> sockets;
    std::vector<std::size_t> socket_mounts;
    std::vector<std::string> unsupported; ///< JSON paths
};

/// host_device_at, or a test's.
using DeviceAt = std::function<std::optional<HostDevice>(const std::filesystem::path&)>;

/// vfio_name, or a test's.
using VfioNameAt = std::function<std::optional<std::string>(dev_t)>;

inline std::optional<std::string> no_vfio(dev_t /*number*/) {
    return std::nullopt;
}

/// The sockets that a container may connect to at a path of the host, itself or in the directory.
using SocketsAt = std::function<std::vector<HostSocket>(const std::filesystem::path&)>;

inline std::vector<HostSocket> no_sockets(const std::filesystem::path& /*source*/) {
    return {};
}

/// Decides how each mount and device gets into the guest; does nothing itself but ask `device_at`
/// and `sockets_at` about the sources of mounts, and `vfio_name_at` about character devices.
/// `rootfs`: Create's. Relative paths are the bundle's.
///
/// A block device becomes a disk where the rules of linux.resources.devices let the container read
/// or write it, and it is asked for: by a rule of its very number, or by a bind mount. Of all the
/// host's devices, which a privileged container's spec lists, none is given away so. The same goes
/// for the node of an IOMMU group, which has to be readable and writable.
///
/// Throws: Error (invalid_argument, failed_precondition for a device that the guest cannot have,
/// unimplemented for a file system that it has not) that starts with the JSON path.
StoragePlan plan_storage(
    const oci::Spec& spec,
    std::vector<MountSpec> rootfs,
    const std::filesystem::path& bundle,
    const DeviceAt& device_at,
    const SocketsAt& sockets_at,
    const VfioNameAt& vfio_name_at
);

/// Takes the rules for the nodes of `plan.vfio_groups` out: in the guest, a device of such a number
/// is another one.
void drop_vfio_rules(std::vector<oci::DeviceRule>& rules, const StoragePlan& plan);

/// Points the mount of `plan.sockets[index]` at what the guest listens at under `number`.
void set_socket_source(StoragePlan& plan, std::size_t index, std::uint64_t number);

/// Points the root and the mounts of `spec`, whose storage was planned, at their places in the
/// guest, and the plan's root disk at its layers; names the mounts below volumes.
void set_sources(oci::Spec& spec, StoragePlan& plan, const SharedNames& names);

} // namespace cppvm::storage
