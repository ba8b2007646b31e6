#include "host/vm/leftovers.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/os/process_id.hpp"
#include "host/config/programs.hpp"
#include "host/vm/disk_node.hpp"
#include "host/vm/helper_users.hpp"
#include "host/vm/libvirt/libvirt_client.hpp"
#include "host/vm/libvirt/libvirt_log.hpp"
#include "host/vm/libvirt/libvirt_state.hpp"
#include "host/vm/qemu_process.hpp"
#include "host/vm/share/share_server.hpp"
#include "host/vm/user_network.hpp"
#include "host/vm/vfio_node.hpp"
#include "host/vm/vsock/vsock.hpp"

#include <unistd.h>

namespace cppvm::vm {

namespace {

// A direct child of the owner. It died with it, unless it was not yet that far.
void kill_recorded(const std::filesystem::path& pid_file, const Logger& logger) noexcept {
    try {
        if (::access(pid_file.c_str(), F_OK) != 0) {
            return;
        }
        if (const auto process = parse_process_id(read_file(pid_file, 64))) {
            kill_process(*process);
        }
    } catch (const std::exception& error) {
        logger.warn(
            "Could not kill a recorded process",
            {{"file", pid_file.native()}, {"error", error.what()}}
        );
    }
}

bool nothing_left(const MachineNames& machine, const config::Config& config) {
    return libvirt_state_is_visible(config) && ::access(machine.run_dir.c_str(), F_OK) != 0 &&
           !known_to_libvirt(machine.name);
}

} // namespace

void kill_leftover_processes(const MachineNames& machine, const Logger& logger) noexcept {
    kill_recorded(machine.run_dir / user_vsock_pid_file, logger);
    kill_recorded(machine.run_dir / user_network_pid_file, logger);
    for (const auto& file : share_server_pid_files(machine.run_dir)) {
        kill_recorded(file, logger);
    }
    kill_recorded(machine.run_dir / qemu_pid_file, logger);
    kill_machine_processes(machine.uuid, machine.share_dir, logger);
}

Awaitable<bool>
undo_leftovers(MachineNames machine, config::Config config, Logger logger, Deadline deadline) {
    if (nothing_left(machine, config)) {
        co_return true;
    }
    bool done = true;
    try {
        LibvirtClient client(config::find_libvirt_helper(config), config.hypervisor.uri);
        co_await client.destroy(machine.uuid, deadline);
    } catch (const Error& error) {
        done = false;
        logger.warn(
            "libvirt did not remove the domain", {{"domain", machine.name}, {"error", error.what()}}
        );
    }
    // One that was just being started when it was looked for above.
    kill_machine_processes(machine.uuid, machine.share_dir, logger);
    remove_machine_files(machine.name, machine.run_dir);
    co_return done;
}

void remove_machine_files(const std::string& name, const std::filesystem::path& run_dir) noexcept {
    try {
        if (const auto users = read_users(run_dir)) { // before they are free for another machine
            take_back_vfio_nodes(users->qemu);
        }
        for (const auto& path : share_server_files(run_dir)) {
            ::unlink(path.c_str());
        }
        for (const char* file :
             {user_vsock_pid_file, user_network_pid_file, qemu_pid_file, users_file, "console.sock"
             }) {
            ::unlink((run_dir / file).c_str());
        }
        std::filesystem::remove_all(user_vsock_directory(run_dir));
        std::filesystem::remove_all(user_network_directory(run_dir));
        remove_disk_nodes(name);
    } catch (const std::exception&) { // NOLINT(bugprone-empty-catch): only these files may stay
    }
    remove_libvirt_log(name);
}

} // namespace cppvm::vm
