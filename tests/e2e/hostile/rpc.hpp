#pragma once

#include "common/base/unique_fd.hpp"
#include "tests/e2e/hostile/processes.hpp"

namespace cppvm::hostile {

/// Serves one RPC connection until the host closes it, and lies as `guest` has it.
void serve_rpc(UniqueFd connection, const Behaviour& guest, Processes& processes);

} // namespace cppvm::hostile
