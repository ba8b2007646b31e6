#pragma once

#include <cstdint>
#include <optional>

namespace cppvm::oci {

/// A device's major or minor number in a spec stands for every number if it is absent or -1
/// (config-linux.md, "Allowed Device list").
inline bool is_any(const std::optional<std::int64_t>& wanted) noexcept {
    return wanted.value_or(-1) == -1;
}

/// Whether `number` is what a spec wants.
inline bool matches(const std::optional<std::int64_t>& wanted, unsigned number) noexcept {
    return is_any(wanted) || *wanted == std::int64_t{number};
}

} // namespace cppvm::oci
