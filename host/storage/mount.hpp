#pragma once

#include "host/storage/mount_spec.hpp"

#include <filesystem>
#include <vector>

namespace cppvm::storage {

/// Mounts containerd's list for a rootfs at `target`, in order; each at its own `target` below, which
/// symbolic links in what is mounted already cannot lead outside.
/// Blocks. Throws: Error naming type, source and the kernel's words; what was mounted stays mounted
/// (`unmount_below` undoes it).
void mount_all(const std::vector<MountSpec>& mounts, const std::filesystem::path& target);

/// How `bind` mounts.
struct BindOptions {
    bool recursive = false;
    unsigned long flags = 0;         ///< MS_RDONLY and the like, for the top mount
    bool recursive_read_only = false; ///< for what is below it, too
};

/// Bind-mounts a file or directory, which follows `source` (mounts that appear there later appear
/// here) but never the other way round: to unmount something here does nothing there.
/// Blocks. Throws: Error naming `source`; nothing is left then.
void bind(
    const std::filesystem::path& source, const std::filesystem::path& target,
    const BindOptions& options
);

} // namespace cppvm::storage
