#pragma once

#include "common/os/confinement.hpp"

#include <filesystem>

namespace cppvm::vm {

/// What the helpers of a machine may do, one function for each. docs/security.md says why.

/// vhost-device-vsock, which reads what the guest writes into its queues: a user of its own, no
/// capability, some 60 system calls, no network, and of the host's files its program, the
/// libraries and `directory`, which holds its sockets.
Confinement confine_vsock_device(
    uid_t user, const std::filesystem::path& program, const std::filesystem::path& directory
);

/// passt, which reads what the guest sends and confines itself then: user, mount, pid, IPC and UTS
/// namespace, an empty root directory, seccomp. It gets a user of its own and no capability, and
/// the host's network, which is what it is for.
Confinement confine_user_network(uid_t user);

/// virtiofsd, which needs root to begin with and confines itself then: mount, pid and network
/// namespace, capabilities, seccomp. What it leaves out: no core file, which would hold the guest's
/// memory, no new privileges from its first instruction on, and the namespaces that it shares.
Confinement confine_share_server();

/// cppvm-libvirt: root, because libvirt asks for it, but with what it needs to hand over sockets
/// and to move QEMU, with the threads that the kernel makes for it, into a cgroup alone.
Confinement confine_libvirt_helper();

} // namespace cppvm::vm
