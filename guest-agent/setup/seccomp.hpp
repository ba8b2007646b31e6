#pragma once

#include "common/oci/spec.hpp"

#include <linux/filter.h>
#include <vector>

namespace cppvm::guest {

/// A profile as seccomp(2) takes it.
struct SeccompFilter {
    std::vector<sock_filter> program; ///< empty: none
    unsigned flags = 0;               ///< SECCOMP_FILTER_FLAG_*
};

/// What `profile` means (config-linux.md, "Seccomp"), as runc has it: names of system calls that
/// nobody knows are left out; where the default is to refuse, those that are newer than all that
/// the profile names fail with ENOSYS, so that a C library tries an older one; without flags,
/// SECCOMP_FILTER_FLAG_SPEC_ALLOW.
/// Takes some milliseconds. Throws: Error (invalid_argument) that names the field.
SeccompFilter compile_seccomp(const oci::Seccomp& profile);

/// Puts the calling thread under the filter, for good. It must have CAP_SYS_ADMIN, or the
/// no_new_privs flag. Does nothing without a program. Throws: Error.
void install_seccomp(const SeccompFilter& filter);

} // namespace cppvm::guest
