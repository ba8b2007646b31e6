#include "guest-agent/setup/seccomp.hpp"

#include "common/base/error.hpp"

#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cppvm::guest {

void install_seccomp(const SeccompProgram& program) {
    if (program.instructions.empty()) {
        return;
    }
    const sock_fprog given{
        static_cast<unsigned short>(program.instructions.size()),
        const_cast<sock_filter*>(program.instructions.data())
    };
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, program.flags, &given) != 0) {
        throw_errno("install", "the seccomp filter of linux.seccomp");
    }
}

} // namespace cppvm::guest
