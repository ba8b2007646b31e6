#include "common/oci/seccomp_names.hpp"

#include <seccomp.h>

#include <algorithm>
#include <array>
#include <linux/audit.h>
#include <linux/seccomp.h>

namespace cppvm::oci {

namespace {

constexpr std::array action_table{
    SeccompWord{"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
    SeccompWord{"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO},
    SeccompWord{"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
    SeccompWord{"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
    SeccompWord{"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
    SeccompWord{"SCMP_ACT_LOG", SECCOMP_RET_LOG},
    SeccompWord{"SCMP_ACT_TRACE", SECCOMP_RET_TRACE},
    SeccompWord{"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
};

constexpr std::array operator_table{
    SeccompWord{"SCMP_CMP_EQ", SCMP_CMP_EQ},
    SeccompWord{"SCMP_CMP_GE", SCMP_CMP_GE},
    SeccompWord{"SCMP_CMP_GT", SCMP_CMP_GT},
    SeccompWord{"SCMP_CMP_LE", SCMP_CMP_LE},
    SeccompWord{"SCMP_CMP_LT", SCMP_CMP_LT},
    SeccompWord{"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
    SeccompWord{"SCMP_CMP_NE", SCMP_CMP_NE},
};

// TSYNC is about the threads of who installs the filter, and there is but one.
constexpr std::array flag_table{
    SeccompWord{"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    SeccompWord{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    SeccompWord{"SECCOMP_FILTER_FLAG_TSYNC", 0},
};

constexpr std::array architecture_table{
    SeccompWord{"SCMP_ARCH_X32", AUDIT_ARCH_X86_64},
    SeccompWord{"SCMP_ARCH_X86", AUDIT_ARCH_I386},
    SeccompWord{"SCMP_ARCH_X86_64", AUDIT_ARCH_X86_64},
};

} // namespace

std::span<const SeccompWord> seccomp_actions() noexcept {
    return action_table;
}

std::span<const SeccompWord> seccomp_operators() noexcept {
    return operator_table;
}

std::span<const SeccompWord> seccomp_flags() noexcept {
    return flag_table;
}

std::span<const SeccompWord> seccomp_architectures() noexcept {
    return architecture_table;
}

std::optional<std::uint32_t>
find_seccomp_word(std::span<const SeccompWord> words, std::string_view name) noexcept {
    const auto found = std::ranges::find(words, name, &SeccompWord::name);
    return found == words.end() ? std::nullopt : std::optional(found->number);
}

} // namespace cppvm::oci
