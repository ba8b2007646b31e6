#include "host/storage/mount_options.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <sys/mount.h>

namespace cppvm::storage {

namespace {

struct FlagOption {
    std::string_view name;
    bool on; // false: the option clears the flag
    unsigned long flag;
    std::uint64_t attribute; // MOUNT_ATTR_*, 0 where binds have no such thing
};

constexpr std::array flag_options{
    FlagOption{"ro", true, MS_RDONLY, MOUNT_ATTR_RDONLY},
    FlagOption{"rw", false, MS_RDONLY, MOUNT_ATTR_RDONLY},
    FlagOption{"nosuid", true, MS_NOSUID, MOUNT_ATTR_NOSUID},
    FlagOption{"suid", false, MS_NOSUID, MOUNT_ATTR_NOSUID},
    FlagOption{"nodev", true, MS_NODEV, MOUNT_ATTR_NODEV},
    FlagOption{"dev", false, MS_NODEV, MOUNT_ATTR_NODEV},
    FlagOption{"noexec", true, MS_NOEXEC, MOUNT_ATTR_NOEXEC},
    FlagOption{"exec", false, MS_NOEXEC, MOUNT_ATTR_NOEXEC},
    FlagOption{"nodiratime", true, MS_NODIRATIME, MOUNT_ATTR_NODIRATIME},
    FlagOption{"diratime", false, MS_NODIRATIME, MOUNT_ATTR_NODIRATIME},
    FlagOption{"nosymfollow", true, MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW},
    FlagOption{"symfollow", false, MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW},
    FlagOption{"sync", true, MS_SYNCHRONOUS, 0},
    FlagOption{"async", false, MS_SYNCHRONOUS, 0},
    FlagOption{"dirsync", true, MS_DIRSYNC, 0},
    FlagOption{"iversion", true, MS_I_VERSION, 0},
    FlagOption{"noiversion", false, MS_I_VERSION, 0},
    FlagOption{"lazytime", true, MS_LAZYTIME, 0},
    FlagOption{"nolazytime", false, MS_LAZYTIME, 0},
    FlagOption{"silent", true, MS_SILENT, 0},
    FlagOption{"loud", false, MS_SILENT, 0},
    FlagOption{"defaults", true, 0, 0},
    FlagOption{"mand", true, 0, 0}, // Linux 5.15 and later have no mandatory locks
    FlagOption{"nomand", true, 0, 0},
};

// One of them holds: MOUNT_ATTR__ATIME is a field, not a flag.
struct AtimeOption {
    std::string_view name;
    unsigned long flag;
    std::uint64_t attribute;
};

constexpr unsigned long atime_flags = MS_NOATIME | MS_RELATIME | MS_STRICTATIME;
constexpr std::array atime_options{
    AtimeOption{"noatime", MS_NOATIME, MOUNT_ATTR_NOATIME},
    AtimeOption{"atime", 0, MOUNT_ATTR_RELATIME},
    AtimeOption{"relatime", MS_RELATIME, MOUNT_ATTR_RELATIME},
    AtimeOption{"norelatime", 0, MOUNT_ATTR_RELATIME},
    AtimeOption{"strictatime", MS_STRICTATIME, MOUNT_ATTR_STRICTATIME},
    AtimeOption{"nostrictatime", 0, MOUNT_ATTR_RELATIME},
};

struct PropagationOption {
    std::string_view name;
    unsigned long flags;
};

constexpr std::array propagation_options{
    PropagationOption{"shared", MS_SHARED},
    PropagationOption{"rshared", MS_SHARED | MS_REC},
    PropagationOption{"slave", MS_SLAVE},
    PropagationOption{"rslave", MS_SLAVE | MS_REC},
    PropagationOption{"private", MS_PRIVATE},
    PropagationOption{"rprivate", MS_PRIVATE | MS_REC},
    PropagationOption{"unbindable", MS_UNBINDABLE},
    PropagationOption{"runbindable", MS_UNBINDABLE | MS_REC},
};

template <class Table>
auto find(const Table& table, std::string_view name) {
    const auto found = std::ranges::find(table, name, &Table::value_type::name);
    return found == table.end() ? nullptr : &*found;
}

void move_bits(std::uint64_t bits, std::uint64_t& to, std::uint64_t& from) {
    to |= bits;
    from &= ~bits;
}

bool apply_flag(MountOptions& result, std::string_view name) {
    if (const auto* const option = find(flag_options, name)) {
        if (option->on) {
            result.flags |= option->flag;
            move_bits(option->attribute, result.set, result.clear);
        } else {
            result.flags &= ~option->flag;
            move_bits(option->attribute, result.clear, result.set);
        }
        return true;
    }
    if (const auto* const option = find(atime_options, name)) {
        result.flags = (result.flags & ~atime_flags) | option->flag;
        result.set = (result.set & ~std::uint64_t{MOUNT_ATTR__ATIME}) | option->attribute;
        result.clear |= MOUNT_ATTR__ATIME; // mount_setattr wants it whenever the field changes
        return true;
    }
    return false;
}

bool apply_recursive(MountOptions& result, std::string_view name) {
    if (!name.starts_with('r')) {
        return false;
    }
    const std::string_view base = name.substr(1);
    if (const auto* const option = find(flag_options, base); option && option->attribute != 0) {
        if (option->on) {
            move_bits(option->attribute, result.recursive_set, result.recursive_clear);
        } else {
            move_bits(option->attribute, result.recursive_clear, result.recursive_set);
        }
        return true;
    }
    if (const auto* const option = find(atime_options, base)) {
        result.recursive_set =
            (result.recursive_set & ~std::uint64_t{MOUNT_ATTR__ATIME}) | option->attribute;
        result.recursive_clear |= MOUNT_ATTR__ATIME;
        return true;
    }
    return false;
}

} // namespace

MountOptions parse_mount_options(std::span<const std::string> options) {
    MountOptions result;
    for (const std::string& option : options) {
        if (apply_flag(result, option) || apply_recursive(result, option)) {
            continue;
        }
        if (const auto* const propagation = find(propagation_options, option)) {
            result.propagation = propagation->flags;
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
