#pragma once

#include "common/async/asio.hpp"
#include "common/log/logger.hpp"
#include "host/config/config.hpp"
#include "host/rundir/identity.hpp"
#include "host/rundir/run_dir_lock.hpp"

namespace cppvm {

/// In the run directory: where the sandbox's cgroup is (cgroup::SandboxCgroup).
std::filesystem::path cgroup_record(const std::filesystem::path& run_dir);

/// Undoes what a daemon that is gone may have left of its sandbox: the virtual machine and its
/// helper processes, the mounts of the share, the cgroup. The caller holds the run directory's
/// lock. Idempotent; each part is tried even if another fails.
///
/// Returns true if nothing is left; what is, was logged as a warning. Blocks, until `deadline` at
/// most.
bool undo_leftovers(
    const Identity& identity, const config::Config& config, const Logger& logger, Deadline deadline
) noexcept;

/// Does the same if there is anything to undo, then removes the run directory and with it the lock.
/// The directory goes even if something is left: its files are of no use to anybody then.
/// Throws: Error (failed_precondition) if something is still mounted below; the lock stays.
void clear_run_dir(
    RunDirLock& lock,
    const Identity& identity,
    const config::Config& config,
    const Logger& logger,
    Deadline deadline
);

/// Unmounts whatever is mounted on `<bundle>/rootfs`. False if something stays, which was logged.
bool unmount_rootfs(const std::filesystem::path& bundle, const Logger& logger) noexcept;

} // namespace cppvm
