#include "common/oci/seccomp_names.hpp"

#include <seccomp.h>

#include <array>
#include <linux/audit.h>
#include <linux/seccomp.h>

namespace cppvm::oci {

namespace {

constexpr std::array action_table{
    NumberWord{"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW},
    NumberWord{"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO},
    NumberWord{"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD},
    NumberWord{"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS},
    NumberWord{"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD},
    NumberWord{"SCMP_ACT_LOG", SECCOMP_RET_LOG},
    NumberWord{"SCMP_ACT_TRACE", SECCOMP_RET_TRACE},
    NumberWord{"SCMP_ACT_TRAP", SECCOMP_RET_TRAP},
};

constexpr std::array operator_table{
    NumberWord{"SCMP_CMP_EQ", SCMP_CMP_EQ},
    NumberWord{"SCMP_CMP_GE", SCMP_CMP_GE},
    NumberWord{"SCMP_CMP_GT", SCMP_CMP_GT},
    NumberWord{"SCMP_CMP_LE", SCMP_CMP_LE},
    NumberWord{"SCMP_CMP_LT", SCMP_CMP_LT},
    NumberWord{"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
    NumberWord{"SCMP_CMP_NE", SCMP_CMP_NE},
};

// TSYNC is about the threads of who installs the filter, and there is but one.
constexpr std::array flag_table{
    NumberWord{"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    NumberWord{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    NumberWord{"SECCOMP_FILTER_FLAG_TSYNC", 0},
};

constexpr std::array architecture_table{
    NumberWord{"SCMP_ARCH_X32", AUDIT_ARCH_X86_64},
    NumberWord{"SCMP_ARCH_X86", AUDIT_ARCH_I386},
    NumberWord{"SCMP_ARCH_X86_64", AUDIT_ARCH_X86_64},
};

} // namespace

std::span<const NumberWord> seccomp_actions() noexcept {
    return action_table;
}

std::span<const NumberWord> seccomp_operators() noexcept {
    return operator_table;
}

std::span<const NumberWord> seccomp_flags() noexcept {
    return flag_table;
}

std::span<const NumberWord> seccomp_architectures() noexcept {
    return architecture_table;
}

} // namespace cppvm::oci
