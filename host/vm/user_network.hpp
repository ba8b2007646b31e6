#pragma once

#include "common/async/asio.hpp"
#include "host/vm/directory_watch.hpp"
#include "host/vm/helper_directory.hpp"
#include "host/vm/helper_process.hpp"

#include <filesystem>
#include <optional>
#include <sys/types.h>

namespace cppvm::vm {

/// The way into the host's network for a machine that has no interface of its own there: a passt
/// process (https://passt.top), which makes the guest's connections in the daemon's network
/// namespace as an ordinary user and translates addresses. Nothing comes in by it, and no address
/// of the guest's leads to the host's loopback.
///
/// Owns: the process and its socket. Thread: the loop's only.
class UserNetwork {
  public:
    /// Runs as `user`, with its pid file and a directory for its socket in `run_dir`.
    /// Throws: Error.
    UserNetwork(
        const asio::any_io_executor& executor,
        const std::filesystem::path& program,
        const std::filesystem::path& run_dir,
        std::optional<uid_t> user
    );

    /// Until QEMU can connect. Throws: Error with passt's own words: a host without a default
    /// route, for example. Cancels: then it must not be used.
    Awaitable<> prepare(Deadline deadline);

    /// Where QEMU connects, as a `stream` netdev.
    std::filesystem::path socket() const;

  private:
    HelperDirectory directory_; // goes after the process, which may be about to make its socket
    std::optional<DirectoryWatch> watch_;
    HelperProcess process_;
};

/// What it leaves in the run dir when this process is killed.
inline constexpr const char* user_network_pid_file = "passt.pid";
std::filesystem::path user_network_directory(const std::filesystem::path& run_dir);

} // namespace cppvm::vm
