#pragma once

#include "host/storage/mount_spec.hpp"
#include "host/storage/volume_spec.hpp"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace cppvm::storage {

/// The directory that a pod's one virtiofs device exports: for each container `<id>/rootfs` and
/// `<id>/mounts/<n>`. It is a mount of its own, shared, so that what is mounted in it later appears
/// in the mount namespace of virtiofsd and so in the guest.
///
/// Owns: the directory and every mount below it. Undo never deletes anything but empty directories
/// and files: what it cannot unmount stays, so no volume can be emptied by accident.
/// All functions block. Thread: any, one at a time.
class Share {
  public:
    /// Makes `directory` (mode 0755) and mounts it on itself. Before virtiofsd starts.
    /// Throws: Error; nothing is left then.
    static std::unique_ptr<Share> create(const std::filesystem::path& directory);

    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    /// `undo` was called, or the destructor does it and swallows its failure.
    ~Share();

    /// Mounts a container's root (the list, or else `rootfs_source` as it is) and its volumes.
    /// Returns what people should be warned of, one line each.
    /// Throws: Error naming the mount; `remove_container` undoes what was done.
    std::vector<std::string> add_container(
        const std::string& id, const std::vector<MountSpec>& rootfs,
        const std::filesystem::path& rootfs_source, const std::vector<VolumeSpec>& volumes
    );

    /// Idempotent. Throws: Error.
    void remove_container(const std::string& id);

    /// Removes all. Idempotent. Throws: Error.
    void undo();

    const std::filesystem::path& directory() const noexcept { return directory_; }

  private:
    explicit Share(std::filesystem::path directory) : directory_(std::move(directory)) {}

    std::filesystem::path container_dir(const std::string& id) const;

    std::filesystem::path directory_;
    bool undone_ = false;
};

/// What `Share::undo` would do, for a share whose owner died. Nothing there is fine. Throws: Error.
void undo_leftovers(const std::filesystem::path& share_directory);

} // namespace cppvm::storage
