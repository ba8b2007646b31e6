#pragma once

#include "host/vm/libvirt/connection.hpp"

#include <chrono>
#include <iosfwd>
#include <string>
#include <vector>

namespace cppvm::vm::libvirt {

/// Answers are lines "<key> <value>"; host/vm/libvirt_client.hpp reads them.

/// Makes and starts a transient domain. `sockets` are handed to the user that libvirt runs QEMU as,
/// who must be able to read the domain's other files already: libvirt is told to change no owners.
/// Prints "cid <n>" if libvirt chose a vsock address. The domain outlives the connection on
/// purpose. Throws: LibvirtError; then there is no domain.
void create(
    const Connection& connection,
    const std::string& xml,
    const std::vector<std::string>& sockets,
    std::ostream& out
);

/// Destroys a domain and waits until libvirt has cleaned up after it. Prints "found yes" or, for an
/// unknown one, "found no", which is a success. Throws: LibvirtError.
void destroy(const Connection& connection, const std::string& uuid, std::ostream& out);

/// Prints "version <n>" (libvirt's) and "hypervisor <n>" (QEMU's), as 1000000 major + 1000 minor +
/// micro. Throws: LibvirtError.
void ping(const Connection& connection, std::ostream& out);

} // namespace cppvm::vm::libvirt
