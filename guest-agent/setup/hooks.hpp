#pragma once

#include "common/oci/container_state.hpp"

#include <string>
#include <vector>

namespace cppvm::guest {

/// Runs hooks of a container one after the other, each as a child of this process: with its
/// namespaces, root, cgroup, user and capabilities, and the state on stdin. `kind`:
/// "startContainer", for errors; `environment` is that of hooks which have none of their own.
///
/// A hook is over when its program has ended, whatever that has left running or open. One whose
/// time is up is killed with its process group. It may print what it likes: its stdout goes
/// nowhere, of its stderr the end is kept.
/// Throws: Error (failed_precondition) naming the hook, with the last line of its stderr; the rest
/// is not run then. Blocks.
void run_hooks(
    const std::string& kind,
    const std::vector<oci::Hook>& hooks,
    const oci::ContainerState& state,
    const std::vector<std::string>& environment
);

} // namespace cppvm::guest
