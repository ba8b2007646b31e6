#pragma once

#include "host/storage/mount.hpp"

#include <filesystem>
#include <optional>
#include <span>
#include <vector>

namespace cppvm::storage {

/// A root file system that the guest can put together by itself: layers in files, the top one
/// first, and a disk for what is written. Plain data.
struct LayeredRoot {
    MountSpec writable;
    std::vector<std::filesystem::path> layers; ///< erofs images
};

/// Of Create's mounts, if they are those of containerd's snapshotter erofs with a disk for each
/// container (`default_size`), and nothing in them is the host's business. Nothing else is
/// recognised, so that no option is lost: what is not is mounted on the host. Pure.
std::optional<LayeredRoot> layered_root(std::span<const MountSpec> mounts);

} // namespace cppvm::storage
