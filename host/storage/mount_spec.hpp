#pragma once

#include <string>
#include <vector>

namespace cppvm::storage {

/// One mount as containerd gives it (containerd.types.Mount). Plain data.
struct MountSpec {
    std::string type;   ///< "overlay", "bind", "ext4", …
    std::string source; ///< device or directory
    std::string target; ///< below the mount point; empty: the mount point itself
    std::vector<std::string> options; ///< as in fstab: "ro", "lowerdir=…"
};

} // namespace cppvm::storage
