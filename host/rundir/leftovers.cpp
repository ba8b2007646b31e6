#include "host/rundir/leftovers.hpp"

#include "common/async/run.hpp"
#include "common/base/error.hpp"
#include "host/cgroup/sandbox_cgroup.hpp"
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

} // namespace

std::filesystem::path cgroup_record(const std::filesystem::path& run_dir) {
    return run_dir / "cgroup";
}

bool undo_leftovers(
    const Identity& identity, const config::Config& config, const Logger& logger, Deadline deadline
) noexcept {
    const auto run_dir = identity.run_dir(config.run_dir);
    const auto share_dir = run_dir / "share";
    const vm::MachineNames machine{identity.domain_name(), identity.uuid(), run_dir, share_dir};
    // First what nobody can hold up; libvirtd, which may not answer, last.
    vm::kill_leftover_processes(machine, logger);
    const bool share_gone = attempt(logger, "Parts of the share may be left", [&] {
        storage::remove_share_directory(share_dir);
    });
    bool machine_gone = false;
    attempt(logger, "The virtual machine may be left", [&] {
        machine_gone = run_until_done(vm::undo_leftovers(machine, config, logger, deadline));
    });
    const bool cgroup_gone = cgroup::remove_recorded_cgroup(cgroup_record(run_dir));
    if (!cgroup_gone) {
        logger.warn("The sandbox's cgroup is left: processes are in it");
    }
    return machine_gone && share_gone && cgroup_gone;
}

void clear_run_dir(
    RunDirLock& lock,
    const Identity& identity,
    const config::Config& config,
    const Logger& logger,
    Deadline deadline
) {
    if (!lock.holds_nothing_else()) {
        undo_leftovers(identity, config, logger, deadline);
    }
    lock.remove();
}

bool unmount_rootfs(const std::filesystem::path& bundle, const Logger& logger) noexcept {
    return attempt(logger, "The root file system may still be mounted", [&] {
        storage::unmount_all(bundle / "rootfs");
    });
}

} // namespace cppvm
