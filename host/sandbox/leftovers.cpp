#include "host/sandbox/leftovers.hpp"

#include "common/base/error.hpp"
#include "host/vm/leftovers.hpp"

#include <boost/asio/co_spawn.hpp>

#include <cerrno>
#include <exception>
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
    const Identity& identity, const config::Config& config, const Logger& logger, Deadline deadline
) noexcept {
    const auto run_dir = identity.run_dir(config.run_dir);
    const auto share_dir = run_dir / "share";
    bool machine_gone = false;
    try {
        asio::io_context loop;
        std::exception_ptr failure;
        asio::co_spawn(
            loop,
            vm::undo_leftovers(
                {identity.domain_name(), identity.uuid(), run_dir, share_dir},
                config,
                logger,
                deadline
            ),
            [&](const std::exception_ptr& exception, bool done) {
                failure = exception;
                machine_gone = done;
            }
        );
        loop.run();
        if (failure) {
            std::rethrow_exception(failure);
        }
    } catch (...) {
        logger.warn(
            "The virtual machine may be left",
            {{"domain", identity.domain_name()},
             {"error", to_status(std::current_exception()).message}}
        );
    }
    // All that is mounted in the share is mounted below the share's own mount, and goes with it.
    return detach_mounts(share_dir, logger) && machine_gone;
}

bool unmount_rootfs(const std::filesystem::path& bundle, const Logger& logger) noexcept {
    return detach_mounts(bundle / "rootfs", logger);
}

} // namespace cppvm
