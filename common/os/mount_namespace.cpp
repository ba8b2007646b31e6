#include "common/os/mount_namespace.hpp"

#include <sched.h>

namespace cppvm {

// Root and working directory, which setns(2) changes, must be this thread's alone.
int enter_mount_namespace(int descriptor) noexcept {
    return ::unshare(CLONE_FS) != 0 ? -1 : ::setns(descriptor, CLONE_NEWNS);
}

} // namespace cppvm
