#pragma once

#include "common/oci/spec.hpp"

#include <cstdint>
#include <optional>

namespace cppvm::guest {

/// The CLONE_NEW* flags of the spec's namespaces, those that it shares with other containers
/// included (shared_namespaces.hpp).
/// Throws: Error (invalid_argument) for an unknown or doubled type, for one with another path (the
/// host has translated those), without a mount namespace, and for a user namespace without
/// mappings or whose root is not mapped.
std::uint64_t namespace_flags(const oci::Linux& spec);

/// Whom the container's cgroup is to belong to: the root of its user namespace, if it can see the
/// cgroup in a namespace of its own, and write (config-linux.md of the runtime specification,
/// "Cgroup ownership"). Else nothing: the machine's root.
std::optional<std::uint32_t> cgroup_owner(const oci::Spec& spec);

} // namespace cppvm::guest
