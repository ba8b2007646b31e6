#pragma once

#include "common/base/unique_fd.hpp"

#include <cstdint>
#include <sys/types.h>

namespace cppvm::guest {

struct CloneResult {
    pid_t pid = 0; ///< 0: this is the child
    UniqueFd pidfd;
};

/// clone3(2) with a copy of the memory, like fork: in a new set of namespaces, born into the cgroup
/// of `cgroup_fd`. In the child all signals are blocked and have their default action.
///
/// The agent has one thread, so nothing that a child may call, malloc included, can find a lock
/// held; children here are ordinary code up to their execve and end in `_exit`.
/// Throws: Error.
CloneResult clone_process(std::uint64_t flags, int cgroup_fd);

} // namespace cppvm::guest
