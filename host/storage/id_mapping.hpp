#pragma once

#include "common/base/unique_fd.hpp"
#include "common/oci/id_map.hpp"

#include <filesystem>
#include <string>
#include <string_view>

namespace cppvm::storage {

/// The value of a mount option "uidmap=" or "gidmap=", by which containerd asks for id-mapped root
/// file systems: "container:host:size", several with commas between them. `option` is for errors.
/// Throws: Error (invalid_argument).
std::vector<oci::IdMapping> parse_mappings(std::string_view value, std::string_view option);

/// A user namespace with these mappings, for DetachedMount::set_id_map. Blocks: for a moment.
/// Throws: Error.
UniqueFd make_user_namespace(const oci::IdMap& map);

/// The options of an overlay, with each of its lower layers id-mapped: overlayfs itself cannot be,
/// what it is made of can. The layers are mounted below `place`. Blocks. Throws: Error naming the
/// layer.
std::string map_lower_layers(
    const std::string& options, int user_namespace, const std::filesystem::path& place
);

} // namespace cppvm::storage
