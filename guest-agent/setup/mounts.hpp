#pragma once

#include "common/oci/spec.hpp"
#include "guest-agent/setup/device_nodes.hpp"

#include <string>

namespace cppvm::guest {

/// What a mount of the spec is made from, besides the spec.
struct MountContext {
    int root = -1;            ///< the container's, attached in this mount namespace
    const std::string& share; ///< where the host's files are
    DeviceNodes& nodes;
};

/// Mounts one entry of the spec's list. Sources of bind mounts must be below the share.
/// Throws: Error naming the destination.
void mount_entry(const MountContext& context, const oci::Mount& mount);

/// True if the spec binds something over /dev, which then is used as it is.
bool binds_dev(const oci::Spec& spec);

} // namespace cppvm::guest
