#pragma once

#include "common/oci/spec.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace cppvm::guest {

/// The CLONE_NEW* flags of the spec's namespaces, those that it shares with other containers
/// included (shared_namespaces.hpp).
/// Throws: Error (invalid_argument) for an unknown or doubled type, for one with another path (the
/// host has translated those), without a mount namespace, and for a user namespace without
/// mappings.
std::uint64_t namespace_flags(const oci::Linux& spec);

/// The lines of uid_map and gid_map (user_namespaces(7)).
std::string mapping_text(const std::vector<oci::IdMapping>& mappings);

} // namespace cppvm::guest
