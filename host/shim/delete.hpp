#pragma once

#include "common/log/logger.hpp"
#include "host/shim/command_line.hpp"

#include <string>

namespace cppvm::shim {

/// The `delete` command: undoes what is left of a container, or of a whole sandbox if the container
/// is the sandbox's own, whether its daemon is ending, wedged, killed or never was. Idempotent;
/// works with whatever is there, down to nothing. Blocks for less than five seconds, which is what
/// containerd allows; what is not undone by then goes on being undone in a process of its own.
///
/// Returns the DeleteResponse to print: how the task ended as far as it is known, else as if it had
/// been killed now. Logs a warning for what could not be undone.
/// Throws: Error only if namespace, id or address are unusable.
std::string delete_task(const CommandLine& line, const Logger& logger);

} // namespace cppvm::shim
