#include "guest-agent/setup/mount_options.hpp"

#include "common/oci/names.hpp"

#include <sys/mount.h>

namespace cppvm::guest {

namespace {

void change(const oci::MountWord& word, std::uint64_t& set, std::uint64_t& clear) {
    set = (set & ~word.no_attributes) | word.attributes;
    clear = (clear & ~word.attributes) | word.no_attributes;
}

/// What fsconfig(2) takes from every file system.
bool is_of_the_file_system(const oci::MountWord& word) {
    constexpr unsigned long flags = MS_SYNCHRONOUS | MS_DIRSYNC | MS_LAZYTIME | MS_I_VERSION;
    return ((word.flags | word.no_flags) & flags) != 0;
}

} // namespace

MountOptions parse_mount_options(const std::vector<std::string>& options) {
    MountOptions result;
    for (const std::string& option : options) {
        if (const auto* const word = oci::find_mount_word(option)) {
            change(*word, result.set, result.clear);
            if (is_of_the_file_system(*word)) {
                result.data.push_back(option);
            }
        } else if (const auto* const propagation = oci::find_propagation_word(option)) {
            result.propagation.push_back(propagation->flags);
        } else if (const auto* const recursive = oci::find_recursive_mount_word(option)) {
            change(*recursive, result.recursive_set, result.recursive_clear);
        } else if (option == "bind" || option == "rbind") {
            result.bind = true;
            result.recursive_bind = option == "rbind";
        } else if (option == "tmpcopyup") {
            result.copy_up = true;
        } else if (option == "copy-symlink") {
            result.unsupported.push_back(option);
        } else if (!option.empty()) {
            result.data.push_back(option);
        }
    }
    return result;
}

bool propagates(const oci::Mount& mount) {
    const MountOptions options = parse_mount_options(mount.options);
    return (options.bind || mount.type == "bind") && !options.propagation.empty() &&
           (options.propagation.back() & (MS_SLAVE | MS_SHARED)) != 0;
}

} // namespace cppvm::guest
