#pragma once

#include "host/shim/command_line.hpp"

#include <string>

namespace cppvm::shim {

/// What `start` takes from its surroundings.
struct StartEnvironment {
    int input = 0;             ///< where BootstrapParams or options come from
    int output = 1;            ///< where the answer goes
    std::string ttrpc_address; ///< TTRPC_ADDRESS
};

/// The `start` command: finds the sandbox's daemon or launches it, writes the file `address` into
/// the bundle and prints the answer. Prints nothing else. On failure all is as before, however far
/// the daemon had come and even if it was killed. Blocks, for milliseconds as a rule. Throws:
/// Error, which containerd shows to its user.
void start(CommandLine line, const StartEnvironment& environment);

} // namespace cppvm::shim
