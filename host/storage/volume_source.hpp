#pragma once

#include "common/oci/id_map.hpp"
#include "host/storage/detached_mount.hpp"

#include <compare>
#include <cstdint>
#include <filesystem>
#include <sys/types.h>

namespace cppvm::storage {

/// A directory or file of the host that a container gets.
struct VolumeSpec {
    std::filesystem::path source;
    bool recursive = true;                  ///< with what is mounted below it
    bool read_only = false;                 ///< the mount itself
    bool recursive_read_only = false;       ///< and what is mounted below it
    bool propagate = false;                 ///< what the host mounts there later shows in the guest
    bool differs_below = false;             ///< the guest mounts what is below it in another way
    oci::IdMap id_map{};                    ///< how owners are shown
    bool recursive_id_map = false;          ///< and those of what is mounted below it
    std::filesystem::path destination = {}; ///< in the container
};

/// What makes two sources the same: the same file or directory, reached through the same mount of
/// the host, with the same mounts below it.
struct SourceKey {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::uint64_t mount = 0;
    bool recursive = false;
    bool recursive_read_only = false;
    bool propagate = false;

    friend auto operator<=>(const SourceKey&, const SourceKey&) = default;
};

/// What is to be known of a source before it is decided how it is shown. Plain data.
struct SourceInfo {
    SourceKey key;
    mode_t mode = 0;        ///< of the file: its type
    bool read_only = false; ///< the host itself cannot write there
};

/// A volume's source, opened, and a clone of its mount that nobody sees yet.
struct VolumeSource {
    SourceInfo info;
    DetachedMount mount;
};

/// Blocks, on a hung file system for as long as that hangs. Throws: Error naming the source.
VolumeSource open_volume_source(const VolumeSpec& volume);

} // namespace cppvm::storage
