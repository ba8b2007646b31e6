#pragma once

#include "common/oci/spec.hpp"
#include "guest-agent/setup/sources.hpp"

#include <cstddef>
#include <cstdint>

namespace cppvm::guest {

/// What a mount of the spec is made from, besides the spec.
struct MountContext {
    int root = -1; ///< the container's, attached in this mount namespace
    const oci::Spec& spec;
    std::uint64_t namespaces; ///< the container's own (CLONE_NEW*)
    Sources& sources;
};

/// Mounts one entry of the spec's list. Sources of bind mounts must be below the share.
/// Throws: Error naming the destination.
void mount_entry(const MountContext& context, std::size_t index);

/// True if the spec binds something over /dev, which then is used as it is.
bool binds_dev(const oci::Spec& spec);

} // namespace cppvm::guest
