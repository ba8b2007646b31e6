#pragma once

#include "common/async/asio.hpp"

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace cppvm::cli {

/// What a sub-command gets.
struct Invocation {
    std::vector<std::string> words; ///< what follows the sub-command's name
    std::ostream& out;
};

/// A sub-command; gives the exit code. Throws: Error; invalid_argument means wrong usage.
using Command = Awaitable<int> (*)(Invocation invocation);

/// `cppvm check`: is this host ready. Exit code 1 if something is missing.
Awaitable<int> check_command(Invocation invocation);

/// `cppvm list`: the sandboxes of this host.
Awaitable<int> list_command(Invocation invocation);

/// `cppvm explain ID`: everything that is known of a sandbox. Exit code 1 if there is none.
Awaitable<int> explain_command(Invocation invocation);

/// `cppvm image build`: makes what the virtual machines boot.
Awaitable<int> image_command(Invocation invocation);

/// Runs what `words` (without the program's name) ask for. Errors go to `errors`, one line each.
/// Exit codes: 0 success, 1 failure, 2 wrong usage.
int run(const std::vector<std::string>& words, std::ostream& out, std::ostream& errors);

} // namespace cppvm::cli
