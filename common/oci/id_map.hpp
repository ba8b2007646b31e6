#pragma once

#include "common/oci/spec.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cppvm::oci {

/// A mapping of users and one of groups, as of a user namespace. Plain data.
struct IdMap {
    std::vector<IdMapping> uids{};
    std::vector<IdMapping> gids{};

    bool is_empty() const noexcept { return uids.empty() && gids.empty(); }

    friend auto operator<=>(const IdMap&, const IdMap&) = default;
};

/// What a list of mappings breaks of the kernel's rules for uid_map and gid_map
/// (user_namespaces(7)): a size of 0, ids from 2^32 - 1 on, an id that is mapped twice on either
/// side, more than 340 lines, or a page of text. `index` tells in which of the mappings.
struct MappingFault {
    std::optional<std::size_t> index;
    std::string problem;
};
std::optional<MappingFault> find_fault(const std::vector<IdMapping>& mappings);

/// The text of uid_map and gid_map.
std::string mapping_text(const std::vector<IdMapping>& mappings);

/// The id outside of the namespace for one inside. Nothing if it is not mapped.
std::optional<std::uint32_t>
to_host_id(const std::vector<IdMapping>& mappings, std::uint32_t container_id) noexcept;

} // namespace cppvm::oci
