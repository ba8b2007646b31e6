#include "guest-agent/setup/keyring.hpp"

#include "common/base/error.hpp"

#include <cerrno>
#include <cstdio>
#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cppvm::guest {

namespace {

// KEY_USR_SEARCH of keyctl_setperm(3): without it the name is found by nobody who does not possess
// the keyring, execs included.
constexpr unsigned user_may_search = 0x00080000;

} // namespace

void join_session_keyring(const std::string& container_id) {
    // The name that runc gives it, too.
    const std::string name = "_ses." + container_id;
    const long keyring = ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.c_str());
    if (keyring < 0 && errno == ENOSYS) {
        return;
    }
    // In the text of KEYCTL_DESCRIBE (keyctl_describe(3)), "type;uid;gid;permissions;name", the
    // fourth field is hexadecimal.
    unsigned permissions = 0;
    std::string text(64 + name.size(), '\0');
    if (keyring < 0 ||
        ::syscall(SYS_keyctl, KEYCTL_DESCRIBE, keyring, text.data(), text.size()) < 0 ||
        std::sscanf(text.c_str(), "%*[^;];%*d;%*d;%x;", &permissions) != 1 ||
        ::syscall(SYS_keyctl, KEYCTL_SETPERM, keyring, permissions | user_may_search) != 0) {
        throw_errno("join session keyring", name);
    }
}

} // namespace cppvm::guest
