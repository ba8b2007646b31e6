#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace cppvm::storage {

/// The mount points in the text of /proc/<pid>/mountinfo (proc_pid_mountinfo(5)), in its order, with
/// the octal escapes undone. Lines that make no sense are left out.
std::vector<std::string> parse_mount_points(std::string_view mountinfo);

/// Mount points of this process at or below `path`, the last one mounted first. Throws: Error.
std::vector<std::string> mounts_below(const std::filesystem::path& path);

/// Unmounts (MNT_DETACH) everything that is mounted at or below `path`; nothing there is fine.
/// Blocks. Throws: Error naming the first mount point that could not be unmounted, after it tried
/// the others.
void unmount_below(const std::filesystem::path& path);

} // namespace cppvm::storage
