#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace cppvm::storage {

/// One mount as containerd describes it (containerd.types.Mount).
struct MountSpec {
    std::string type;   ///< "overlay", "bind", "erofs", …
    std::string source; ///< directory, block device, or file with the option "loop"
    std::string target; ///< path below the common target; usually empty
    std::vector<std::string> options;
};

/// Mounts all of `mounts` at `target` in their order, one over the other where a mount has no
/// target of its own. Binds are private copies: later mounts of the host do not show in them, nor
/// does their end touch the host's mounts. A mount's own target is looked up below `target` and
/// cannot lead out of it. Where one names the places of others (mount_templates.hpp), only the last
/// is at `target`, and what it is made of is nowhere else. After a failure nothing is mounted at
/// `target`. Blocks. Throws: Error naming type, source, target and the kernel's words.
void mount_all(std::span<const MountSpec> mounts, const std::filesystem::path& target);

} // namespace cppvm::storage
