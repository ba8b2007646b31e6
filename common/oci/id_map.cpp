#include "common/oci/id_map.hpp"

#include <algorithm>

namespace cppvm::oci {

namespace {

// UID_GID_MAP_MAX_EXTENTS, and what one write(2) to the file may have (kernel/user_namespace.c).
constexpr std::size_t max_lines = 340;
constexpr std::size_t max_text = 4095;
// (uid_t)-1 means "no user" to many system calls.
constexpr std::uint64_t id_limit = 0xffffffffU;

bool reaches_too_far(std::uint64_t first, std::uint64_t size) {
    return first + size > id_limit;
}

bool overlap(std::uint64_t a, std::uint64_t a_size, std::uint64_t b, std::uint64_t b_size) {
    return a < b + b_size && b < a + a_size;
}

std::string problem_of(const IdMapping& mapping) {
    if (mapping.size == 0) {
        return "the size must not be 0";
    }
    if (reaches_too_far(mapping.container_id, mapping.size) ||
        reaches_too_far(mapping.host_id, mapping.size)) {
        return "reaches beyond the last id, 4294967294";
    }
    return {};
}

std::string problem_of(const IdMapping& mapping, const IdMapping& earlier) {
    if (overlap(mapping.container_id, mapping.size, earlier.container_id, earlier.size)) {
        return "maps ids of the container that an earlier mapping has";
    }
    if (overlap(mapping.host_id, mapping.size, earlier.host_id, earlier.size)) {
        return "maps ids of the host that an earlier mapping has";
    }
    return {};
}

} // namespace

std::optional<MappingFault> find_fault(const std::vector<IdMapping>& mappings) {
    if (mappings.size() > max_lines) {
        return MappingFault{std::nullopt, "has more than 340 mappings, the kernel's limit"};
    }
    for (std::size_t i = 0; i < mappings.size(); ++i) {
        std::string problem = problem_of(mappings[i]);
        for (std::size_t j = 0; j < i && problem.empty(); ++j) {
            problem = problem_of(mappings[i], mappings[j]);
        }
        if (!problem.empty()) {
            return MappingFault{i, std::move(problem)};
        }
    }
    if (mapping_text(mappings).size() > max_text) {
        return MappingFault{
            std::nullopt, "has more mappings than the kernel takes: a page of text"
        };
    }
    return std::nullopt;
}

std::string mapping_text(const std::vector<IdMapping>& mappings) {
    std::string text;
    for (const IdMapping& mapping : mappings) {
        text += std::to_string(mapping.container_id) + " " + std::to_string(mapping.host_id) + " " +
                std::to_string(mapping.size) + "\n";
    }
    return text;
}

std::optional<std::uint32_t>
to_host_id(const std::vector<IdMapping>& mappings, std::uint32_t container_id) noexcept {
    const auto found = std::ranges::find_if(mappings, [&](const IdMapping& mapping) {
        return container_id >= mapping.container_id &&
               container_id - mapping.container_id < mapping.size;
    });
    if (found == mappings.end()) {
        return std::nullopt;
    }
    return found->host_id + (container_id - found->container_id);
}

} // namespace cppvm::oci
