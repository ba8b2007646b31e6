#pragma once

#include <cstdint>
#include <linux/filter.h>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

namespace cppvm {

struct SeccompContextDeleter {
    void operator()(void* context) const noexcept;
};
/// libseccomp's filter in the making (scmp_filter_ctx). Its functions return a negated errno, which
/// check_seccomp takes.
using SeccompContext = std::unique_ptr<void, SeccompContextDeleter>;

/// `default_action`: SCMP_ACT_* of <seccomp.h>. Throws: Error.
SeccompContext make_seccomp_context(std::uint32_t default_action);

/// Throws: Error "make a seccomp filter: <what>: …" for a negative result.
void check_seccomp(int result, std::string_view what);

/// The program that a filter stands for. Throws: Error.
std::vector<sock_filter> export_program(const SeccompContext& context);

/// A system call that is allowed; with `argument`, only where the first argument has this value.
struct AllowedCall {
    const char* name; ///< one that this architecture does not have is left out
    std::optional<std::uint64_t> argument;
};

/// A seccomp program that allows these; all others fail with ENOSYS, which a C library newer than
/// this list takes for an older kernel. Costs some 100 us. Throws: Error.
std::vector<sock_filter> allow_only(const std::vector<AllowedCall>& calls);

} // namespace cppvm
