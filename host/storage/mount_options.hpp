#pragma once

#include "common/oci/id_map.hpp"

#include <cstdint>
#include <span>
#include <string>

namespace cppvm::storage {

/// What a list of mount options means to the kernel.
struct MountOptions {
    unsigned long flags = 0; ///< MS_* for mount(2), without MS_BIND and propagation
    std::uint64_t set = 0;   ///< MOUNT_ATTR_* to set and to clear, for mount_setattr(2)
    std::uint64_t clear = 0;
    std::uint64_t recursive_set = 0; ///< the same for options such as "rro"
    std::uint64_t recursive_clear = 0;
    unsigned long propagation = 0; ///< MS_SHARED and so on, with MS_REC; 0: not mentioned
    bool bind = false;
    bool recursive_bind = false; ///< with `bind`
    bool loop = false;           ///< the source is a file to be put on a loop device
    oci::IdMap id_map;           ///< of "uidmap=" and "gidmap="; both or neither
    std::string data;            ///< for the file system: "lowerdir=/a:/b,index=off"
};

/// Options as mount(8) and the OCI runtime specification name them; later ones win. What is unknown
/// goes to `data`, as with mount(8); "x-…" options are for user space and left out.
/// Throws: Error (invalid_argument) for mappings that make no sense.
MountOptions parse_mount_options(std::span<const std::string> options);

} // namespace cppvm::storage
