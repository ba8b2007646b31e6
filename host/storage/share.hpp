#pragma once

#include "common/base/unique_fd.hpp"
#include "common/log/logger.hpp"
#include "host/storage/mount.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace cppvm::storage {

/// A directory or file of the host that a container gets.
struct VolumeSpec {
    std::filesystem::path source;
    bool recursive = true;            ///< with what is mounted below it
    bool read_only = false;           ///< the mount itself
    bool recursive_read_only = false; ///< and what is mounted below it
    bool propagate = false;           ///< what the host mounts there later shows in the guest
};

/// What of the host a container's file systems are made of.
struct ContainerStorage {
    std::string container_id;
    std::vector<MountSpec> rootfs_mounts; ///< as containerd sent them; empty: `rootfs` is complete
    std::filesystem::path rootfs;         ///< only used without `rootfs_mounts`
    std::vector<VolumeSpec> volumes;      ///< the n-th appears as `<id>/mounts/<n>`
};

/// The pod's virtiofs export: a directory of which the guest sees everything, with
/// `<container id>/rootfs` and `<container id>/mounts/<n>` for each container.
///
/// It is a mount of its own, shared, so that what is mounted in it after virtiofsd started still
/// reaches virtiofsd's mount namespace; and read-only, so that the guest can write to volumes and
/// root file systems but not fill the host's run directory.
///
/// Mounts made here never propagate back to where their sources are mounted: undoing them leaves
/// the host's own mounts alone.
///
/// A socket, fifo or device among the volumes is only a name in the guest: nothing on the host is
/// behind it there (virtiofs carries files). It is bound all the same, with a warning, because
/// containers often have such a volume without using it.
///
/// Owns: the directory and every mount in it. Thread: any one at a time; every call blocks, so on
/// the loop's thread only through a BlockingPool.
class Share {
  public:
    /// Makes `directory` (its parent exists) and the mount on it. What a crashed predecessor left
    /// there is undone first. Throws: Error; nothing is left then.
    Share(const std::filesystem::path& directory, Logger logger);
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    /// As `remove`; a failure is logged.
    ~Share();

    const std::filesystem::path& directory() const noexcept { return directory_; }

    /// Mounts a container's root file system and volumes. On failure nothing of it is left.
    /// Throws: Error naming the container and the volume: a source that does not exist, a mount
    /// that the kernel refuses, an id that is in use or is not a single path component.
    void add_container(const ContainerStorage& storage);

    /// Unmounts and removes all of a container; never touches a file of a volume. Nothing there:
    /// fine. Throws: Error naming what stays.
    void remove_container(const std::string& container_id);

    /// Undoes everything, the directory included. Idempotent. Throws: Error naming what stays.
    void remove();

  private:
    void bind_rootfs(const ContainerStorage& storage);
    void bind_volume(const ContainerStorage& storage, std::size_t index);

    std::filesystem::path directory_;
    Logger logger_;
    UniqueFd writable_; // the directory below the read-only mount
};

/// Undoes what a Share in `directory` left when its process died. Nothing there: fine. Blocks.
/// Throws: Error naming what stays.
void undo_leftovers(const std::filesystem::path& directory);

} // namespace cppvm::storage
