#pragma once

#include "guest-agent/setup/clone.hpp"

namespace cppvm::guest {

/// Starts the first process of a new pid namespace, which containers join then: it reaps what they
/// leave, does nothing else, and is the program run_pod_init() with neither rights nor files. It is
/// the caller's to reap. Blocks until it is there. `program`: the agent's own, but for tests.
/// Throws: Error with what failed; then it is gone.
CloneResult start_pod_init(int cgroup_fd, const char* program = "/proc/self/exe");

/// The option with which the agent's program is that process.
inline constexpr const char* pod_init_option = "--pod-init";
[[noreturn]] void run_pod_init();

} // namespace cppvm::guest
