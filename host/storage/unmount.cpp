#include "host/storage/unmount.hpp"

#include "common/base/error.hpp"
#include "host/storage/mountinfo.hpp"

#include <cerrno>
#include <sys/mount.h>

namespace cppvm::storage {

void unmount_all(const std::filesystem::path& path) {
    // mountinfo has paths without symbolic links; only the last part may not exist or be one.
    const auto absolute = std::filesystem::absolute(path).lexically_normal();
    const auto top =
        std::filesystem::weakly_canonical(absolute.parent_path()) / absolute.filename();
    // Another round for mounts that others hid, or that came meanwhile.
    constexpr int max_rounds = 8;
    std::string kept;
    int error = 0;
    for (int round = 0; round < max_rounds; ++round) {
        const auto mounts = mounts_below(read_mountinfo(), top);
        if (mounts.empty()) {
            return;
        }
        for (const MountPoint& mount : mounts) {
            if (::umount2(mount.path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) {
                error = errno;
                kept = mount.path;
            }
        }
    }
    const auto mounts = mounts_below(read_mountinfo(), top);
    if (!mounts.empty()) {
        throw_errno("unmount", kept.empty() ? mounts.front().path : kept, error);
    }
}

} // namespace cppvm::storage
