#pragma once

#include "guest-agent/setup/process_setup.hpp"
#include "guest-agent/setup/shared_namespaces.hpp"

#include <cstdint>
#include <string>
#include <sys/types.h>
#include <vector>

namespace cppvm::guest {

/// A child on its way to its program: it sends `ready` (or `failed`) over the control channel and
/// then waits for `go`. It is the caller's to reap, and to kill by its pidfd.
struct Launched {
    pid_t pid = -1; ///< in the agent's pid namespace
    UniqueFd pidfd;
    UniqueFd control; ///< the agent's end
};

struct InitLaunch {
    const oci::Spec& spec;
    ProcessSpec process;
    const std::string& share;     ///< where the host's files are
    const std::string& bundle;    ///< as the host calls it, for hooks
    std::uint64_t namespaces = 0; ///< CLONE_NEW* of those that are made for it
    const std::vector<JoinedNamespace>& joined;
    int cgroup = -1;
};

/// Starts a container's first process. Throws: Error; nothing is left then but, after a failure to
/// write the user namespace's mappings, a child that ends by itself and is to be reaped as an
/// orphan.
Launched launch_init(const InitLaunch& launch);

struct ExecLaunch {
    ProcessSpec process;
    int init_pidfd = -1;          ///< of the container to enter
    std::uint64_t namespaces = 0; ///< those that its init did not share with the agent
    const oci::Linux& linux_part; ///< of the container
    int cgroup = -1;
};

/// Starts a further process in a container. Throws: Error; nothing is left then.
Launched launch_exec(const ExecLaunch& launch);

} // namespace cppvm::guest
