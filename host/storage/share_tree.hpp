#pragma once

#include <string>

namespace cppvm::storage {

/// The empty directories and files of a share that mounts are put on. All calls take a descriptor
/// of the share's own directory, below every mount, so that they can never reach what is mounted.
/// Block. Throw: Error naming the path.

/// `<id>/rootfs` and `<id>/mounts`. Throws: Error (already_exists) if the container is there.
void make_container_tree(int share, const std::string& container_id);

/// `<id>/mounts/<index>`.
void make_volume_point(
    int share, const std::string& container_id, std::size_t index, bool is_directory
);

/// Removes a container's tree, which must not hold anything but what the calls above made. Nothing
/// there: fine.
void remove_container_tree(int share, const std::string& container_id);

/// Removes the trees of all containers.
void remove_all_trees(int share);

/// Throws: Error (invalid_argument) unless `container_id` is one ordinary path component.
void check_container_id(const std::string& container_id);

} // namespace cppvm::storage
