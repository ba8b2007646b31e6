#pragma once

#include "common/oci/spec.hpp"
#include "common/os/seccomp_program.hpp"

namespace cppvm::seccomp {

/// What `profile` means (config-linux.md, "Seccomp"), as runc has it: names of system calls that
/// nobody knows are left out; where the default is to refuse, those that are newer than all that
/// the profile names fail with ENOSYS, so that a C library tries an older one; without flags,
/// SECCOMP_FILTER_FLAG_SPEC_ALLOW. For the guest, whose architecture is the host's.
/// Takes some milliseconds. Throws: Error (invalid_argument) that names the field.
SeccompProgram compile(const oci::Seccomp& profile);

} // namespace cppvm::seccomp
