#pragma once

#include "common/async/asio.hpp"
#include "common/log/logger.hpp"
#include "host/config/config.hpp"

#include <filesystem>
#include <string>

namespace cppvm::vm {

/// Which machine; all of it can be computed from the sandbox's identity.
struct MachineNames {
    std::string name; ///< the domain's
    std::string uuid;
    std::filesystem::path run_dir;
    std::filesystem::path share_dir;
};

/// Kills QEMU, virtiofsd and vhost-device-vsock of a machine whose owner was killed at any moment.
/// From then on nobody has the share's files open. Idempotent; waits for nobody else, so that it
/// can come before everything that may hang. Does not throw; what stayed is logged.
void kill_leftover_processes(const MachineNames& machine, const Logger& logger) noexcept;

/// Undoes what else such a machine may have left, after `kill_leftover_processes`: the domain,
/// sockets, pid files, libvirt's logs, and a QEMU that libvirtd was just starting. Idempotent; a
/// few milliseconds where nothing is left, and works when libvirtd does not answer: it then forgets
/// the dead domain when it comes back.
///
/// A start that is still under way in libvirtd cannot succeed later: QEMU does not start without
/// the console socket's listener, which died with the owner.
///
/// Does not throw, except when cancelled. False, and a warning in the log, if something stayed.
Awaitable<bool>
undo_leftovers(MachineNames machine, config::Config config, Logger logger, Deadline deadline);

/// Takes away the files that a machine leaves in its run directory, but for the console's log, and
/// libvirt's logs of it. Does not throw.
void remove_machine_files(const std::string& name, const std::filesystem::path& run_dir) noexcept;

} // namespace cppvm::vm
