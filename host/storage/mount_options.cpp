#include "host/storage/mount_options.hpp"

#include "common/base/error.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include <sys/mount.h>

namespace cppvm::storage {

namespace {

struct Flag {
    std::string_view option;
    bool on;
    unsigned long flag;
};

// mount(8), "filesystem-independent mount options".
constexpr std::array flags = {
    Flag{"ro", true, MS_RDONLY},          Flag{"rw", false, MS_RDONLY},
    Flag{"nosuid", true, MS_NOSUID},      Flag{"suid", false, MS_NOSUID},
    Flag{"nodev", true, MS_NODEV},        Flag{"dev", false, MS_NODEV},
    Flag{"noexec", true, MS_NOEXEC},      Flag{"exec", false, MS_NOEXEC},
    Flag{"sync", true, MS_SYNCHRONOUS},   Flag{"async", false, MS_SYNCHRONOUS},
    Flag{"dirsync", true, MS_DIRSYNC},    Flag{"mand", true, MS_MANDLOCK},
    Flag{"nomand", false, MS_MANDLOCK},   Flag{"noatime", true, MS_NOATIME},
    Flag{"atime", false, MS_NOATIME},     Flag{"nodiratime", true, MS_NODIRATIME},
    Flag{"diratime", false, MS_NODIRATIME}, Flag{"relatime", true, MS_RELATIME},
    Flag{"norelatime", false, MS_RELATIME}, Flag{"strictatime", true, MS_STRICTATIME},
    Flag{"defaults", true, 0},
};

// Propagation is a matter of the guest's mounts; on the host each one follows its source and never
// the other way round.
constexpr std::array<std::string_view, 8> propagation = {
    "private", "rprivate", "shared", "rshared", "slave", "rslave", "unbindable", "runbindable"
};

template <std::size_t N>
bool contains(const std::array<std::string_view, N>& list, std::string_view option) {
    return std::find(list.begin(), list.end(), option) != list.end();
}

bool needs_more_than_mount(std::string_view option) {
    return option == "loop" || option.starts_with("loop=") || option.starts_with("uidmap=") ||
           option.starts_with("gidmap=") || option.starts_with("X-containerd.");
}

} // namespace

MountOptions parse_mount_options(const std::vector<std::string>& options) {
    MountOptions result;
    for (const std::string& option : options) {
        const auto* const flag = std::find_if(flags.begin(), flags.end(), [&](const Flag& candidate) {
            return candidate.option == option;
        });
        if (flag != flags.end()) {
            result.flags = flag->on ? result.flags | flag->flag : result.flags & ~flag->flag;
        } else if (option == "bind") {
            result.bind = true;
        } else if (option == "rbind") {
            result.bind = result.recursive = true;
        } else if (option == "rro") {
            result.flags |= MS_RDONLY;
            result.recursive_read_only = true;
        } else if (needs_more_than_mount(option)) {
            throw Error(Code::unimplemented, "mount option '" + option + "' is not supported");
        } else if (!contains(propagation, option)) {
            result.data.append(result.data.empty() ? "" : ",").append(option);
        }
    }
    return result;
}

std::uint64_t to_mount_attributes(unsigned long flags_set) noexcept {
    std::uint64_t attributes = 0;
    const auto translate = [&](unsigned long flag, std::uint64_t attribute) {
        if ((flags_set & flag) != 0) {
            attributes |= attribute;
        }
    };
    translate(MS_RDONLY, MOUNT_ATTR_RDONLY);
    translate(MS_NOSUID, MOUNT_ATTR_NOSUID);
    translate(MS_NODEV, MOUNT_ATTR_NODEV);
    translate(MS_NOEXEC, MOUNT_ATTR_NOEXEC);
    translate(MS_NODIRATIME, MOUNT_ATTR_NODIRATIME);
    return attributes;
}

} // namespace cppvm::storage
