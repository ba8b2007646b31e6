#include "host/watches/confine.hpp"

#include "common/os/seccomp_filter.hpp"

#include <linux/capability.h>

namespace cppvm::watches {

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool is_sanitized = true;
#elif defined(__has_feature)
constexpr bool is_sanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool is_sanitized = false;
#endif

} // namespace

Confinement confine_watcher() {
    Confinement confinement;
    confinement.capabilities = 1U << CAP_DAC_READ_SEARCH; // files have owners
    confinement.no_new_privileges = true;
    confinement.limits = {{RLIMIT_CORE, 0}};
    if (!is_sanitized) { // a sanitizer makes calls of its own
        confinement.system_calls = allow_only({
            {"brk", {}},          {"close", {}},
            {"exit_group", {}},   {"fchdir", {}},
            {"fstat", {}},        {"futex", {}},
            {"getrandom", {}},    {"inotify_add_watch", {}},
            {"madvise", {}},      {"mmap", {}},
            {"mprotect", {}},     {"mremap", {}},
            {"munmap", {}},       {"newfstatat", {}},
            {"openat2", {}},      {"read", {}},
            {"recvfrom", {}},     {"restart_syscall", {}},
            {"rt_sigreturn", {}}, {"sendto", {}},
            {"write", {}},
        });
    }
    return confinement;
}

} // namespace cppvm::watches
