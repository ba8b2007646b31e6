#include "common/oci/names.hpp"

#include <sys/capability.h>

#include <algorithm>
#include <array>
#include <sched.h>
#include <sys/mount.h>

namespace cppvm::oci {

namespace {

// MOUNT_ATTR__ATIME is a field, of which one value holds; mount_setattr(2) wants all of it cleared
// whenever it changes.
constexpr unsigned long no_atime_flags = MS_NOATIME | MS_RELATIME | MS_STRICTATIME;
constexpr std::uint64_t no_atime = MOUNT_ATTR__ATIME;

constexpr std::array mount_table{
    MountWord{"acl", 0, 0, 0, 0}, // the file system's own affair, as "noacl"
    MountWord{"async", 0, MS_SYNCHRONOUS, 0, 0},
    MountWord{"atime", 0, no_atime_flags, MOUNT_ATTR_RELATIME, no_atime},
    MountWord{"defaults", 0, 0, 0, 0},
    MountWord{"dev", 0, MS_NODEV, 0, MOUNT_ATTR_NODEV},
    MountWord{"diratime", 0, MS_NODIRATIME, 0, MOUNT_ATTR_NODIRATIME},
    MountWord{"dirsync", MS_DIRSYNC, 0, 0, 0},
    MountWord{"exec", 0, MS_NOEXEC, 0, MOUNT_ATTR_NOEXEC},
    MountWord{"iversion", MS_I_VERSION, 0, 0, 0},
    MountWord{"lazytime", MS_LAZYTIME, 0, 0, 0},
    MountWord{"loud", 0, MS_SILENT, 0, 0},
    MountWord{"mand", 0, 0, 0, 0}, // Linux 5.15 and later have no mandatory locks
    MountWord{"noacl", 0, 0, 0, 0},
    MountWord{"noatime", MS_NOATIME, no_atime_flags, MOUNT_ATTR_NOATIME, no_atime},
    MountWord{"nodev", MS_NODEV, 0, MOUNT_ATTR_NODEV, 0},
    MountWord{"nodiratime", MS_NODIRATIME, 0, MOUNT_ATTR_NODIRATIME, 0},
    MountWord{"noexec", MS_NOEXEC, 0, MOUNT_ATTR_NOEXEC, 0},
    MountWord{"noiversion", 0, MS_I_VERSION, 0, 0},
    MountWord{"nolazytime", 0, MS_LAZYTIME, 0, 0},
    MountWord{"nomand", 0, 0, 0, 0},
    MountWord{"norelatime", 0, no_atime_flags, MOUNT_ATTR_RELATIME, no_atime},
    MountWord{"nostrictatime", 0, no_atime_flags, MOUNT_ATTR_RELATIME, no_atime},
    MountWord{"nosuid", MS_NOSUID, 0, MOUNT_ATTR_NOSUID, 0},
    MountWord{"nosymfollow", MS_NOSYMFOLLOW, 0, MOUNT_ATTR_NOSYMFOLLOW, 0},
    MountWord{"relatime", MS_RELATIME, no_atime_flags, MOUNT_ATTR_RELATIME, no_atime},
    MountWord{"ro", MS_RDONLY, 0, MOUNT_ATTR_RDONLY, 0},
    MountWord{"rw", 0, MS_RDONLY, 0, MOUNT_ATTR_RDONLY},
    MountWord{"silent", MS_SILENT, 0, 0, 0},
    MountWord{"strictatime", MS_STRICTATIME, no_atime_flags, MOUNT_ATTR_STRICTATIME, no_atime},
    MountWord{"suid", 0, MS_NOSUID, 0, MOUNT_ATTR_NOSUID},
    MountWord{"symfollow", 0, MS_NOSYMFOLLOW, 0, MOUNT_ATTR_NOSYMFOLLOW},
    MountWord{"sync", MS_SYNCHRONOUS, 0, 0, 0},
};

constexpr std::array propagation_table{
    PropagationWord{"private", MS_PRIVATE},
    PropagationWord{"rprivate", MS_PRIVATE | MS_REC},
    PropagationWord{"rshared", MS_SHARED | MS_REC},
    PropagationWord{"rslave", MS_SLAVE | MS_REC},
    PropagationWord{"runbindable", MS_UNBINDABLE | MS_REC},
    PropagationWord{"shared", MS_SHARED},
    PropagationWord{"slave", MS_SLAVE},
    PropagationWord{"unbindable", MS_UNBINDABLE},
};

constexpr std::array namespace_table{
    NamespaceWord{"cgroup", CLONE_NEWCGROUP},
    NamespaceWord{"ipc", CLONE_NEWIPC},
    NamespaceWord{"mount", CLONE_NEWNS},
    NamespaceWord{"network", CLONE_NEWNET},
    NamespaceWord{"pid", CLONE_NEWPID},
    NamespaceWord{"time", CLONE_NEWTIME},
    NamespaceWord{"user", CLONE_NEWUSER},
    NamespaceWord{"uts", CLONE_NEWUTS},
};

template <class Table>
auto find(const Table& table, std::string_view name) noexcept -> decltype(&table[0]) {
    const auto found = std::ranges::find(table, name, &Table::value_type::name);
    return found == table.end() ? nullptr : &*found;
}

constexpr std::string_view capability_prefix = "CAP_"; // libcap's names are "cap_chown"
constexpr std::size_t max_capability_name = 64;

} // namespace

std::span<const MountWord> mount_words() noexcept {
    return mount_table;
}

const MountWord* find_mount_word(std::string_view name) noexcept {
    return find(mount_table, name);
}

const MountWord* find_recursive_mount_word(std::string_view name) noexcept {
    const MountWord* const word = name.starts_with('r') ? find_mount_word(name.substr(1)) : nullptr;
    return word != nullptr && word->has_attributes() ? word : nullptr;
}

std::span<const PropagationWord> propagation_words() noexcept {
    return propagation_table;
}

const PropagationWord* find_propagation_word(std::string_view name) noexcept {
    return find(propagation_table, name);
}

std::span<const NamespaceWord> namespace_words() noexcept {
    return namespace_table;
}

const NamespaceWord* find_namespace_word(std::string_view name) noexcept {
    return find(namespace_table, name);
}

std::optional<unsigned> capability_number(std::string_view name) noexcept {
    if (!name.starts_with(capability_prefix) || name.size() > max_capability_name ||
        name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != name.npos) {
        return std::nullopt;
    }
    std::array<char, max_capability_name + 1> lower{};
    std::ranges::transform(name, lower.begin(), [](char c) {
        return c == '_' ? c : static_cast<char>(c - 'A' + 'a');
    });
    cap_value_t number = 0;
    if (::cap_from_name(lower.data(), &number) != 0) {
        return std::nullopt;
    }
    return static_cast<unsigned>(number);
}

std::string capability_name(int number) {
    char* const known = ::cap_to_name(static_cast<cap_value_t>(number));
    std::string name(known == nullptr ? std::to_string(number) : known);
    ::cap_free(known);
    std::ranges::transform(name, name.begin(), [](char c) {
        return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    return name;
}

std::vector<std::string> capability_names() {
    std::vector<std::string> names;
    for (int number = 0; number <= CAP_LAST_CAP; ++number) {
        names.push_back(capability_name(number));
    }
    return names;
}

} // namespace cppvm::oci
