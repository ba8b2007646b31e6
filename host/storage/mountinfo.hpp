#pragma once

#include <boost/system/result.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace cppvm::storage {

/// One line of /proc/<pid>/mountinfo (proc_pid_mountinfo(5)): the fields that we use.
struct MountPoint {
    std::string path; ///< where it is mounted, with octal escapes decoded
    std::string type; ///< of the file system
    std::string source;
    std::string options;           ///< of the mount: "rw,nosuid"
    std::vector<std::string> tags; ///< "shared:3", "master:4", "unbindable"
};

/// All lines. Fails with errc::bad_message on a line of another form.
boost::system::result<std::vector<MountPoint>> parse_mountinfo(std::string_view text);

/// Of this process's mount namespace. Blocks. Throws: Error.
std::vector<MountPoint> read_mountinfo();
/// The same where /proc is not to be seen; `proc` is a descriptor of it.
std::vector<MountPoint> read_mountinfo(int proc);

/// The mounts at `path` and below it, deepest first. `path` is absolute and free of symbolic links.
std::vector<MountPoint>
mounts_below(const std::vector<MountPoint>& mounts, const std::filesystem::path& path);

} // namespace cppvm::storage
