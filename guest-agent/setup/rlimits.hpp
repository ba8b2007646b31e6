#pragma once

#include "common/oci/spec.hpp"

#include <optional>
#include <string_view>
#include <vector>

namespace cppvm::guest {

/// "RLIMIT_NOFILE" gives RLIMIT_NOFILE of setrlimit(2); nothing for an unknown name.
std::optional<int> rlimit_number(std::string_view name) noexcept;

/// Of this process. Throws: Error naming the limit.
void set_rlimits(const std::vector<oci::Rlimit>& limits);

} // namespace cppvm::guest
