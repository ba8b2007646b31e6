#pragma once

#include "common/os/seccomp_program.hpp"

namespace cppvm::guest {

/// Puts the calling thread under the filter, for good. It must have CAP_SYS_ADMIN, or the
/// no_new_privs flag. Does nothing without a program. Throws: Error.
void install_seccomp(const SeccompProgram& program);

} // namespace cppvm::guest
