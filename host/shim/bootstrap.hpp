#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace cppvm::shim {

/// What containerd tells `start` on its standard input.
struct BootstrapInput {
    /// It sent BootstrapParams (containerd 2.3 and later), so it understands a BootstrapResult.
    bool wants_bootstrap_result = false;
    std::filesystem::path socket_dir; ///< empty: containerd's default
    std::string ttrpc_address;        ///< empty: the environment's
    std::string log_level;            ///< "trace" or "debug" if containerd logs that much, or empty
    /// Of runtimeoptions.v1.Options.
    std::filesystem::path config_path;
    std::string config_body;
    std::string ignored_options; ///< the type of options that are another runtime's, or empty
};

/// Reads `fd` to its end: at most 10 MiB, for at most `timeout`. A terminal counts as empty.
/// Blocks. Throws: Error.
std::string read_bootstrap_input(int fd, std::chrono::milliseconds timeout);

/// Takes BootstrapParams if they are for this id and namespace, else a google.protobuf.Any with
/// runtime options (containerd before 2.3; the two cannot be told apart by their form), else, if
/// there is nothing, no options.
/// Throws: Error (invalid_argument) if it is none of these, or the options make no sense.
BootstrapInput parse_bootstrap_input(
    std::string_view data, std::string_view id, std::string_view containerd_namespace
);

/// What `start` prints. BootstrapResult of version 3 for one who speaks it, with the protocol's
/// letters last: containerd 2.3.0 to 2.3.3 trim white space from both ends. Else the plain address,
/// which every version takes.
std::string bootstrap_answer(const BootstrapInput& input, const std::string& address);

} // namespace cppvm::shim
