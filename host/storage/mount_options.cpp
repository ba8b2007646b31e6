#include "host/storage/mount_options.hpp"

#include "common/base/error.hpp"
#include "common/oci/names.hpp"
#include "host/storage/id_mapping.hpp"

#include <string_view>

namespace cppvm::storage {

namespace {

void change(const oci::MountWord& word, std::uint64_t& set, std::uint64_t& clear) {
    set = (set & ~word.no_attributes) | word.attributes;
    clear = (clear & ~word.attributes) | word.no_attributes;
}

// How containerd asks for an id-mapped root file system (core/mount/mount_linux.go).
constexpr std::string_view uid_map = "uidmap=";
constexpr std::string_view gid_map = "gidmap=";

} // namespace

MountOptions parse_mount_options(std::span<const std::string> options) {
    MountOptions result;
    for (const std::string& option : options) {
        if (const auto* const word = oci::find_mount_word(option)) {
            result.flags = (result.flags & ~word->no_flags) | word->flags;
            change(*word, result.set, result.clear);
        } else if (const auto* const propagation = oci::find_propagation_word(option)) {
            result.propagation = propagation->flags;
        } else if (const auto* const recursive = oci::find_recursive_mount_word(option)) {
            change(*recursive, result.recursive_set, result.recursive_clear);
        } else if (option == "bind" || option == "rbind") {
            result.bind = true;
            result.recursive_bind = option == "rbind";
        } else if (option == "loop") {
            result.loop = true;
        } else if (option.starts_with(uid_map)) {
            result.id_map.uids = parse_mappings(option.substr(uid_map.size()), option);
        } else if (option.starts_with(gid_map)) {
            result.id_map.gids = parse_mappings(option.substr(gid_map.size()), option);
        } else if (!option.empty() && !option.starts_with("x-") && !option.starts_with("X-")) {
            result.data.append(result.data.empty() ? "" : ",").append(option);
        }
    }
    if (result.id_map.uids.empty() != result.id_map.gids.empty()) {
        throw Error(
            Code::invalid_argument, "mount options 'uidmap' and 'gidmap': one without the other"
        );
    }
    return result;
}

} // namespace cppvm::storage
