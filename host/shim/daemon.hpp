#pragma once

#include "host/shim/command_line.hpp"

namespace cppvm::shim {

/// Being the daemon: takes over what `start` left on descriptors 3 and 4, takes the sandbox's run
/// directory, tells `start`, and goes on in `serve` once `start` has succeeded. At the end socket
/// and run directory are gone, as far as that is possible.
///
/// Returns the exit code. Throws: Error if this process was not launched by `start`.
int run_daemon(const CommandLine& line);

} // namespace cppvm::shim
