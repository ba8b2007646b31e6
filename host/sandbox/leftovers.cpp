#include "host/sandbox/leftovers.hpp"

#include "common/async/run.hpp"
#include "common/base/error.hpp"
#include "host/storage/share.hpp"
#include "host/storage/unmount.hpp"
#include "host/vm/leftovers.hpp"

#include <exception>
#include <string_view>

namespace cppvm {

namespace {

// Runs `undo`; false if it throws, with a warning.
template <class F>
bool attempt(const Logger& logger, std::string_view what, F undo) noexcept {
    try {
        undo();
        return true;
    } catch (...) {
        logger.warn(what, {{"error", to_status(std::current_exception()).message}});
        return false;
    }
}

bool undo_machine(
    const Identity& identity,
    const config::Config& config,
    const std::filesystem::path& share_dir,
    const Logger& logger,
    Deadline deadline
) {
    return run_until_done(vm::undo_leftovers(
        {identity.domain_name(), identity.uuid(), identity.run_dir(config.run_dir), share_dir},
        config,
        logger,
        deadline
    ));
}

} // namespace

bool undo_leftovers(
    const Identity& identity, const config::Config& config, const Logger& logger, Deadline deadline
) noexcept {
    const auto share_dir = identity.run_dir(config.run_dir) / "share";
    // The machine first: it has the share's files open.
    bool machine_gone = false;
    attempt(logger, "The virtual machine may be left", [&] {
        machine_gone = undo_machine(identity, config, share_dir, logger, deadline);
    });
    const bool share_gone = attempt(logger, "Something of the share may be left", [&] {
        storage::undo_leftovers(share_dir);
    });
    return machine_gone && share_gone;
}

bool unmount_rootfs(const std::filesystem::path& bundle, const Logger& logger) noexcept {
    return attempt(logger, "The root file system may still be mounted", [&] {
        storage::unmount_all(bundle / "rootfs");
    });
}

} // namespace cppvm
