#include "guest-agent/setup/mount_options.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <sys/mount.h>

namespace cppvm::guest {

namespace {

struct Attribute {
    std::string_view name;
    std::uint64_t set;
    std::uint64_t clear;
};

// The access-time modes share a bit field, so setting one clears the field
// (mount_setattr(2), MOUNT_ATTR__ATIME). Each word is known with a leading "r" too.
constexpr std::array<Attribute, 17> attributes{{
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"atime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"nostrictatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
}};

struct Propagation {
    std::string_view name;
    unsigned long flags;
};

constexpr std::array<Propagation, 8> propagations{{
    {"private", MS_PRIVATE},
    {"rprivate", MS_PRIVATE | MS_REC},
    {"shared", MS_SHARED},
    {"rshared", MS_SHARED | MS_REC},
    {"slave", MS_SLAVE},
    {"rslave", MS_SLAVE | MS_REC},
    {"unbindable", MS_UNBINDABLE},
    {"runbindable", MS_UNBINDABLE | MS_REC},
}};

const Attribute* find_attribute(std::string_view word) {
    const auto found = std::find_if(attributes.begin(), attributes.end(), [&](const auto& entry) {
        return entry.name == word;
    });
    return found == attributes.end() ? nullptr : &*found;
}

void apply(const Attribute& attribute, std::uint64_t& set, std::uint64_t& clear) {
    set = (set & ~attribute.clear) | attribute.set;
    clear = (clear & ~attribute.set) | attribute.clear;
}

bool is_ignored(std::string_view word) {
    // "norelatime" only undoes a default that the kernel does not have an alternative name for.
    return word.empty() || word == "defaults" || word == "norelatime";
}

} // namespace

MountOptions parse_mount_options(const std::vector<std::string>& options) {
    MountOptions result;
    for (const std::string& word : options) {
        const auto propagation =
            std::find_if(propagations.begin(), propagations.end(), [&](const auto& entry) {
                return entry.name == word;
            });
        if (is_ignored(word)) {
            continue;
        }
        if (propagation != propagations.end()) {
            result.propagation.push_back(propagation->flags);
        } else if (word == "bind" || word == "rbind") {
            result.bind = true;
            result.recursive_bind = word == "rbind";
        } else if (const Attribute* attribute = find_attribute(word); attribute != nullptr) {
            apply(*attribute, result.set, result.clear);
        } else if (const Attribute* recursive =
                       word[0] == 'r' ? find_attribute(std::string_view(word).substr(1)) : nullptr;
                   recursive != nullptr) {
            apply(*recursive, result.recursive_set, result.recursive_clear);
        } else if (word == "tmpcopyup") {
            result.copy_up = true;
        } else if (word == "copy-symlink") {
            result.unsupported.push_back(word);
        } else {
            result.data.push_back(word);
        }
    }
    return result;
}

} // namespace cppvm::guest
