#include "host/sandbox/leftovers.hpp"

#include <cerrno>
#include <sys/mount.h>
#include <system_error>

namespace cppvm {

namespace {

// Detaches what is mounted on `path`, with all below it; several mounts may lie on each other.
bool detach_mounts(const std::filesystem::path& path, const Logger& logger) noexcept {
    constexpr int max_stacked = 64;
    for (int count = 0; count < max_stacked; ++count) {
        if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
            continue;
        }
        if (errno == EINVAL || errno == ENOENT || errno == ENOTDIR) { // no mount, or nothing there
            return true;
        }
        const std::error_code error(errno, std::system_category());
        logger.warn("Could not unmount", {{"path", path.native()}, {"error", error.message()}});
        return false;
    }
    logger.warn("Could not unmount: too many mounts on each other", {{"path", path.native()}});
    return false;
}

} // namespace

bool undo_leftovers(
    const Identity& identity,
    const config::Config& config,
    const Logger& logger,
    Deadline /*deadline*/
) noexcept {
    return detach_mounts(identity.run_dir(config.run_dir) / "share", logger);
}

bool unmount_rootfs(const std::filesystem::path& bundle, const Logger& logger) noexcept {
    return detach_mounts(bundle / "rootfs", logger);
}

} // namespace cppvm
