#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace cppvm::shim {

enum class Action {
    serve, ///< none given: be the daemon
    start,
    delete_task,
    info,
    version,
    help,
};

/// The shim's command line, as containerd and people write it.
struct CommandLine {
    Action action = Action::serve;
    std::string containerd_namespace;
    std::string id;
    std::string address;        ///< containerd's gRPC socket, a bare path
    std::string publish_binary; ///< containerd's own executable
    std::string socket;         ///< "unix://…", only for the daemon
    std::filesystem::path bundle;
    bool debug = false;
};

/// Parses what follows the program's name by the rules of Go's flag package, which containerd's
/// callers rely on: -x v, --x v, -x=v; -debug and -debug=false; "--" or the first word without a
/// dash ends the flags. That word is the action; nothing may follow it.
/// Throws: Error (invalid_argument) that names the flag or word.
CommandLine parse_command_line(std::span<const char* const> arguments);

/// The lines that -help prints.
std::string_view usage() noexcept;

} // namespace cppvm::shim
