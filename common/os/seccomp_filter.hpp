#pragma once

#include <cstdint>
#include <linux/filter.h>
#include <optional>
#include <vector>

namespace cppvm {

/// A system call that is allowed; with `argument`, only where the first argument has this value.
struct AllowedCall {
    const char* name; ///< one that this architecture does not have is left out
    std::optional<std::uint64_t> argument;
};

/// A seccomp program that allows these; all others fail with ENOSYS, which a C library newer than
/// this list takes for an older kernel. Costs some 100 us. Throws: Error.
std::vector<sock_filter> allow_only(const std::vector<AllowedCall>& calls);

} // namespace cppvm
