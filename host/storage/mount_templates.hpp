#pragma once

#include "host/storage/mount.hpp"

#include <span>
#include <string>
#include <sys/types.h>
#include <vector>

namespace cppvm::storage {

// containerd's mounts of several steps: one may name the places of those before it ("format/…"),
// and want directories made in them first ("mkdir/…"). What the words mean: containerd,
// docs/mounts.md. It leaves both to a runtime that announces it (host/shim/info.cpp).

/// Whether a mount names places of others.
bool is_template(const MountSpec& mount);

/// A mount as the kernel takes it. Plain data.
struct ExpandedMount {
    struct Directory {
        std::string path;
        mode_t mode = 0700;
    };

    MountSpec mount;
    std::vector<Directory> directories; ///< to be made before it, where they are missing
};

/// The mount with `places`, where those before it are, instead of their names. Pure. Throws: Error
/// (invalid_argument) for a name that means nothing, Error (unimplemented) for another step.
ExpandedMount expand(const MountSpec& mount, std::span<const std::string> places);

} // namespace cppvm::storage
