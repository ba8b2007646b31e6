#pragma once

#include "common/async/asio.hpp"

#include <string>
#include <vector>

namespace cppvm {

/// Runs a program to its end and gives what it printed on stdout, at most 1 MiB.
/// Throws: Error with the last line of stderr if it fails. Cancels: kills it.
Awaitable<std::string> run_command(std::vector<std::string> arguments, Deadline deadline);

} // namespace cppvm
