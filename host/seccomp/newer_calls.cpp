#include "host/seccomp/newer_calls.hpp"

#include "common/oci/seccomp_names.hpp"

#include <seccomp.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <linux/seccomp.h>
#include <string>

namespace cppvm::seccomp {

namespace {

constexpr std::uint32_t x32_bit =
    0x40000000; // in the numbers of x32, which has x86_64's AUDIT_ARCH

std::uint32_t token_of(const std::string& architecture) {
    if (architecture == "SCMP_ARCH_X86_64") {
        return SCMP_ARCH_X86_64;
    }
    return architecture == "SCMP_ARCH_X32" ? SCMP_ARCH_X32 : SCMP_ARCH_X86;
}

/// 0 where the profile names none.
std::uint32_t highest_number(const oci::Seccomp& profile, std::uint32_t architecture) {
    int highest = 0;
    for (const oci::SeccompRule& rule : profile.syscalls) {
        for (const std::string& name : rule.names) {
            highest =
                std::max(highest, ::seccomp_syscall_resolve_name_arch(architecture, name.c_str()));
        }
    }
    return static_cast<std::uint32_t>(highest);
}

sock_filter load(std::size_t offset) {
    return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}

sock_filter
jump(std::uint16_t kind, std::uint32_t value, std::uint8_t if_true, std::uint8_t if_false) {
    return BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | BPF_K | kind), value, if_true, if_false);
}

} // namespace

bool refuses_newer_calls(const oci::Seccomp& profile) {
    // A tracer knows of newer calls itself.
    const auto action =
        oci::find_number(oci::seccomp_actions(), profile.default_action).value_or(0);
    return action != SECCOMP_RET_ALLOW && action != SECCOMP_RET_LOG &&
           action != SECCOMP_RET_TRACE && profile.default_errno_ret != ENOSYS;
}

std::vector<sock_filter> refuse_newer_calls(const oci::Seccomp& profile) {
    std::vector<sock_filter> program;
    for (const std::string& name : profile.architectures) {
        const auto audited = oci::find_number(oci::seccomp_architectures(), name);
        const std::uint32_t token = token_of(name);
        const std::uint32_t highest = audited ? highest_number(profile, token) : 0;
        if (highest == 0) {
            continue;
        }
        const bool is_x32 = token == SCMP_ARCH_X32;
        const sock_filter check_x32 =
            is_x32 ? jump(BPF_JSET, x32_bit, 0, 2) : jump(BPF_JSET, x32_bit, 2, 0);
        const sock_filter part[] = {
            load(offsetof(seccomp_data, arch)),
            jump(BPF_JEQ, *audited, 0, 4),
            load(offsetof(seccomp_data, nr)),
            check_x32,
            jump(BPF_JGT, highest, 0, 1),
            BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        };
        program.insert(program.end(), std::begin(part), std::end(part));
    }
    return program;
}

} // namespace cppvm::seccomp
