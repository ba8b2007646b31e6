#include "host/storage/mount_options.hpp"

#include "common/oci/names.hpp"

namespace cppvm::storage {

namespace {

void change(const oci::MountWord& word, std::uint64_t& set, std::uint64_t& clear) {
    set = (set & ~word.no_attributes) | word.attributes;
    clear = (clear & ~word.attributes) | word.no_attributes;
}

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
        } else if (!option.empty() && !option.starts_with("x-") && !option.starts_with("X-")) {
            result.data.append(result.data.empty() ? "" : ",").append(option);
        }
    }
    return result;
}

} // namespace cppvm::storage
