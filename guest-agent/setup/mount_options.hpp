#pragma once

#include "common/oci/spec.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace cppvm::guest {

/// A mount's options, sorted by who understands them.
struct MountOptions {
    /// MOUNT_ATTR_* of mount_setattr(2), for this mount alone.
    std::uint64_t set = 0;
    std::uint64_t clear = 0;
    /// The same for it and all mounts below it ("rro").
    std::uint64_t recursive_set = 0;
    std::uint64_t recursive_clear = 0;
    /// MS_SHARED and the like, with MS_REC where asked, in order.
    std::vector<unsigned long> propagation;
    bool bind = false;
    bool recursive_bind = false;
    /// "tmpcopyup": begins with what the image has there.
    bool copy_up = false;
    /// "key" or "key=value" for the file system itself.
    std::vector<std::string> data;
    /// Known, but not done ("copy-symlink"), in order.
    std::vector<std::string> unsupported;
};

/// Splits the options of an OCI mount. Later ones win. Unknown words are the file system's.
MountOptions parse_mount_options(const std::vector<std::string>& options);

/// Whether it is a bind mount to which others' mounts propagate, or from which to others.
bool propagates(const oci::Mount& mount);

} // namespace cppvm::guest
