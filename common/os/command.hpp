#pragma once

#include "common/async/asio.hpp"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace cppvm {

/// A program that is run to its end. Plain data.
struct Command {
    std::string path;                                    ///< absolute
    std::vector<std::string> arguments;                  ///< with [0]; empty: the path alone
    std::optional<std::vector<std::string>> environment; ///< "K=V"; nothing: ours
    std::string input;                                   ///< what it reads on stdin
    std::filesystem::path working_directory;             ///< empty: ours
};

/// Runs it and gives what it printed on stdout, of more than 1 MiB the end.
/// Throws: Error with the last line of stderr if it fails, or the beginning of that. Cancels: kills
/// it.
Awaitable<std::string> run_command(Command command, Deadline deadline);

/// The same with arguments alone, of which [0] is the program's absolute path.
Awaitable<std::string> run_command(std::vector<std::string> arguments, Deadline deadline);

} // namespace cppvm
