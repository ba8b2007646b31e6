#pragma once

#include "host/vm/libvirt/helper/connection.hpp"
#include "proto/cppvm/libvirt.pb.h"

#include <string>

namespace cppvm::vm::libvirt {

// Each does what proto/cppvm/libvirt.proto says of the operation of its name.

/// Makes and starts a transient domain, whose QEMU runs as the request's user and is in the cgroup
/// of this process if that has the domain's name. The domain outlives the connection on purpose.
/// Throws: Error; then there is no domain.
void create(
    const Connection& connection,
    const cppvm::helper::v1::CreateDomain& request,
    cppvm::helper::v1::Response& response
);

/// Destroys a domain and waits until libvirt has cleaned up after it. Throws: Error.
void destroy(
    const Connection& connection, const std::string& uuid, cppvm::helper::v1::Response& response
);

/// Adds a device to a domain that runs. Throws: Error.
void attach(const Connection& connection, const std::string& uuid, const std::string& xml);

/// Takes a device away, and waits until the guest has let go of it and QEMU has closed what it was
/// made of: for as long as that takes, so whoever runs this program bounds it. Throws: Error.
void detach(const Connection& connection, const std::string& uuid, const std::string& xml);

/// Throws: Error.
void ping(const Connection& connection, cppvm::helper::v1::Response& response);

} // namespace cppvm::vm::libvirt
