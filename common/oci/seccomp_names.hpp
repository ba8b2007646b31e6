#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace cppvm::oci {

// The words of linux.seccomp (config-linux.md, "Seccomp") that stand for numbers. Host and guest
// use these tables, and so does the answer to `-info`.

struct SeccompWord {
    std::string_view name;
    std::uint32_t number;
};

/// SECCOMP_RET_* of seccomp(2), without an errno. SCMP_ACT_NOTIFY is not among them: nobody in the
/// guest could answer.
std::span<const SeccompWord> seccomp_actions() noexcept;
/// Enumerators of libseccomp's scmp_compare.
std::span<const SeccompWord> seccomp_operators() noexcept;
/// SECCOMP_FILTER_FLAG_* of seccomp(2); 0 for one that means nothing here.
std::span<const SeccompWord> seccomp_flags() noexcept;
/// AUDIT_ARCH_* of those whose programs the guest may run.
std::span<const SeccompWord> seccomp_architectures() noexcept;

/// Nothing if there is no such word.
std::optional<std::uint32_t>
find_seccomp_word(std::span<const SeccompWord> words, std::string_view name) noexcept;

} // namespace cppvm::oci
