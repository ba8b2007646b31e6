#pragma once

#include "common/oci/number_words.hpp"

#include <span>

namespace cppvm::oci {

// The words of linux.seccomp (config-linux.md, "Seccomp") that stand for numbers. Host and guest
// use these tables, and so does the answer to `-info`.

/// SECCOMP_RET_* of seccomp(2), without an errno. SCMP_ACT_NOTIFY is not among them: nobody in the
/// guest could answer.
std::span<const NumberWord> seccomp_actions() noexcept;
/// Enumerators of libseccomp's scmp_compare.
std::span<const NumberWord> seccomp_operators() noexcept;
/// SECCOMP_FILTER_FLAG_* of seccomp(2); 0 for one that means nothing here.
std::span<const NumberWord> seccomp_flags() noexcept;
/// AUDIT_ARCH_* of those whose programs the guest may run.
std::span<const NumberWord> seccomp_architectures() noexcept;

} // namespace cppvm::oci
