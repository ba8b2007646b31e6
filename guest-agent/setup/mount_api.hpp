#pragma once

#include "common/base/unique_fd.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

/// The mount API of Linux 5.2 (and mount_setattr of 5.12): a mount is made detached, gets all its
/// attributes, and only then appears at its place, named by a descriptor and not by a path. `name`
/// is what errors call it. All throw Error.
namespace cppvm::guest {

/// A detached copy of what is mounted at `path` below `directory`, as for a bind mount; with an
/// empty path of `directory` itself.
UniqueFd clone_mount(int directory, const char* path, bool recursive, std::string_view name);

/// A detached mount of a new (or, for sysfs and the like, the existing) instance of a file system.
/// `options` are "key" or "key=value"; `attributes` MOUNT_ATTR_*. Errors carry the file system's
/// own words where it gives some.
UniqueFd make_mount(
    const std::string& type,
    const std::string& source,
    const std::vector<std::string>& options,
    std::uint64_t attributes,
    std::string_view name
);

/// mount_setattr(2) on the mount of a descriptor.
void set_mount_attributes(
    int mount, std::uint64_t set, std::uint64_t clear, bool recursive, std::string_view name
);
/// MS_PRIVATE and so on, with MS_REC.
void set_mount_propagation(int mount, unsigned long flags, std::string_view name);

/// Puts a detached mount on top of what `target` (O_PATH) names.
void attach_mount(int mount, int target, std::string_view name);

/// Takes away everything that is mounted at a place of the agent's own, and then the place; what is
/// in use lives on without a name. Does not throw.
void remove_mount_place(const std::filesystem::path& place) noexcept;

} // namespace cppvm::guest
