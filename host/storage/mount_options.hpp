#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cppvm::storage {

/// The options of one mount, sorted by who understands them. Plain data.
struct MountOptions {
    unsigned long flags = 0; ///< MS_* of mount(2)
    bool bind = false;
    bool recursive = false; ///< of a bind mount
    bool recursive_read_only = false;
    std::string data; ///< for the file system, comma separated
};

/// Sorts fstab-style options. Later ones win over earlier ones ("ro", then "rw").
/// Throws: Error (unimplemented) for options that need something else than mount(2), such as "loop".
MountOptions parse_mount_options(const std::vector<std::string>& options);

/// The same flags as MOUNT_ATTR_* of mount_setattr(2).
std::uint64_t to_mount_attributes(unsigned long flags) noexcept;

} // namespace cppvm::storage
