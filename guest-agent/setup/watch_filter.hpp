#pragma once

#include "common/base/unique_fd.hpp"

namespace cppvm::guest {

/// From now on each inotify_add_watch(2) of the calling process, and of all that come from it,
/// waits for whoever has the descriptor that this returns (SECCOMP_RET_USER_NOTIF, seccomp(2)).
/// Other system calls are as before. It must have CAP_SYS_ADMIN. Throws: Error.
UniqueFd install_watch_filter();

} // namespace cppvm::guest
