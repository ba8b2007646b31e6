#include "guest-agent/setup/capabilities.hpp"

#include "common/base/error.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cppvm::guest {

namespace {

// In the order of their numbers (linux/capability.h).
constexpr std::array<std::string_view, 41> names{
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};

CapabilityBits to_bits(
    const std::vector<std::string>& set, const char* set_name, std::vector<std::string>& unknown
) {
    CapabilityBits bits = 0;
    for (const std::string& name : set) {
        if (const auto number = capability_number(name)) {
            bits |= CapabilityBits{1} << *number;
        } else {
            unknown.push_back(
                std::string("process.capabilities.") + set_name + "." + name.substr(0, 64)
            );
        }
    }
    return bits;
}

bool has(CapabilityBits bits, unsigned number) {
    return (bits >> number & 1) != 0;
}

} // namespace

std::optional<unsigned> capability_number(std::string_view name) noexcept {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
        return std::nullopt;
    }
    return static_cast<unsigned>(found - names.begin());
}

CapabilitySets
to_sets(const std::optional<oci::Capabilities>& capabilities, std::vector<std::string>& unknown) {
    CapabilitySets sets;
    if (capabilities) {
        sets.bounding = to_bits(capabilities->bounding, "bounding", unknown);
        sets.effective = to_bits(capabilities->effective, "effective", unknown);
        sets.inheritable = to_bits(capabilities->inheritable, "inheritable", unknown);
        sets.permitted = to_bits(capabilities->permitted, "permitted", unknown);
        sets.ambient = to_bits(capabilities->ambient, "ambient", unknown);
    }
    return sets;
}

void limit_bounding_set(CapabilityBits bounding) {
    for (unsigned number = 0; number < 64; ++number) {
        // Also if it is not there any more: to ask first would be a call more for each.
        if (!has(bounding, number) && ::prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0) {
            if (errno == EINVAL) {
                return; // past the kernel's last capability
            }
            throw_errno("drop from bounding set", "capability " + std::to_string(number));
        }
    }
}

void set_capabilities(const CapabilitySets& sets) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, 2> data{};
    for (unsigned word = 0; word < 2; ++word) {
        data[word].effective = static_cast<std::uint32_t>(sets.effective >> (32 * word));
        data[word].permitted = static_cast<std::uint32_t>(sets.permitted >> (32 * word));
        data[word].inheritable = static_cast<std::uint32_t>(sets.inheritable >> (32 * word));
    }
    if (::syscall(SYS_capset, &header, data.data()) != 0) {
        throw_errno("set", "capabilities");
    }
    if (::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
        throw_errno("clear", "ambient capabilities");
    }
    for (unsigned number = 0; number < names.size(); ++number) {
        if (has(sets.ambient, number) &&
            ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) != 0) {
            throw_errno("raise ambient capability", names[number]);
        }
    }
}

} // namespace cppvm::guest
