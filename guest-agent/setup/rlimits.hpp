#pragma once

#include "common/oci/spec.hpp"

#include <optional>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace cppvm::guest {

/// "RLIMIT_NOFILE" gives RLIMIT_NOFILE of setrlimit(2); nothing for an unknown name.
std::optional<int> rlimit_number(std::string_view name) noexcept;

/// Of this process. Throws: Error naming the limit.
void set_rlimits(const std::vector<oci::Rlimit>& limits);

/// Of another process, where they are lower than `limits`: what it cannot do itself in a user
/// namespace (getrlimit(2), CAP_SYS_RESOURCE). Throws: Error naming the limit.
void raise_hard_limits(pid_t pid, const std::vector<oci::Rlimit>& limits);

} // namespace cppvm::guest
