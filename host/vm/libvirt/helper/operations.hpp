#pragma once

#include "host/vm/libvirt/helper/connection.hpp"

#include <chrono>
#include <iosfwd>
#include <string>
#include <sys/types.h>
#include <vector>

namespace cppvm::vm::libvirt {

/// Answers are lines "<key> <value>"; host/vm/libvirt/libvirt_client.hpp reads them.

struct Owner {
    uid_t user;
    gid_t group;
};

/// Makes and starts a transient domain, whose QEMU runs as `owner` and is in the cgroup of this
/// process if that has the domain's name. `sockets` are handed to the owner, who must be able to
/// read the domain's other files already: libvirt is told to change no owners. Prints "cid <n>" if
/// libvirt chose a vsock address, and "warning <text>" for what is less isolated than it should
/// be. The domain outlives the connection on purpose. Throws: LibvirtError; then there is no
/// domain.
void create(
    const Connection& connection,
    const std::string& xml,
    const Owner& owner,
    const std::vector<std::string>& sockets,
    std::ostream& out
);

/// Destroys a domain and waits until libvirt has cleaned up after it. Prints "found yes" or, for an
/// unknown one, "found no", which is a success. Throws: LibvirtError.
void destroy(const Connection& connection, const std::string& uuid, std::ostream& out);

/// Prints "version <n>" (libvirt's) and "hypervisor <n>" (QEMU's), as 1000000 major + 1000 minor +
/// micro, and "secmodel <name>" for each security model of libvirt's. Throws: LibvirtError.
void ping(const Connection& connection, std::ostream& out);

} // namespace cppvm::vm::libvirt
