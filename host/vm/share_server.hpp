#pragma once

#include "common/async/asio.hpp"
#include "host/vm/helper_process.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cppvm::vm {

/// A virtiofsd that exports one directory to one machine.
///
/// libvirt could start it too, but not with the options that make programs start quickly: the guest
/// keeps the pages of a file over its closing (cache=always), and asks after a second whether the
/// file has changed on the host (timeout=1). See docs/adr/0008-virtiofsd-of-our-own.md.
///
/// Owns: the process, its socket and pid file; the destructor ends and removes them.
/// Thread: the loop's only.
class ShareServer {
  public:
    /// Starts `program`. Its socket takes connections from now on, whether it listens already or
    /// not. Throws: Error. Cancels: nothing is left.
    static Awaitable<std::unique_ptr<ShareServer>> start(
        std::filesystem::path program,
        std::filesystem::path share_dir,
        std::filesystem::path run_dir,
        Deadline deadline
    );

    ShareServer(
        const asio::any_io_executor& executor, ChildSpec spec, const std::filesystem::path& run_dir
    );
    ShareServer(const ShareServer&) = delete;
    ShareServer& operator=(const ShareServer&) = delete;
    ~ShareServer();

    /// For QEMU; it must be let in by its owner and mode.
    const std::filesystem::path& socket() const noexcept { return socket_; }

    /// Until it has ended; says how. One waiter at a time, here and below. Cancels: the wait.
    Awaitable<std::string> ended();

    /// Waits until it has ended, which it does by itself when QEMU has, but not for long.
    /// Nothing: it has not. Cancels: the wait.
    Awaitable<std::optional<ChildExit>> wait_end();

    /// For the error of a machine that did not start: what the server said if it failed, as
    /// "; <path> ended with exit code 1: …"; empty if it did not. It is given a moment to end.
    /// Cancels: the wait.
    Awaitable<std::string> failure();

  private:
    std::filesystem::path socket_;
    HelperProcess process_;
};

/// Where its pid is told to whoever cleans up, and all files that it has in the run directory.
inline constexpr const char* share_server_pid_file = "virtiofsd.pid";
std::vector<std::filesystem::path> share_server_files(const std::filesystem::path& run_dir);

} // namespace cppvm::vm
