#pragma once

#include "common/async/asio.hpp"
#include "host/vm/helper_process.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cppvm::vm {

/// The names of a machine's two servers, from which those of their files follow.
inline constexpr const char* roots_server = "roots";
inline constexpr const char* volumes_server = "volumes";

/// What one is started with. Plain data.
struct ShareServerSpec {
    std::filesystem::path program;   ///< virtiofsd 1.13 or later
    std::string name;                ///< roots_server or volumes_server
    bool changed_by_host = false;    ///< whether the guest must look for changes
    std::filesystem::path share_dir; ///< an empty directory
    std::filesystem::path run_dir;   ///< for socket and pid file
};

/// A virtiofsd that exports one directory to one machine: an empty, read-only tmpfs that it sees in
/// place of `share_dir`, in a mount namespace in which, once it has set itself up, nothing else is.
/// That it has when QEMU runs, which talks to it before.
///
/// libvirt could start it too, but not with these options. A machine has two
/// (docs/adr/0008-virtiofsd-of-our-own.md): what only the guest changes it may keep for as long as
/// it likes, so that programs start quickly; for volumes it asks again after a second, and at each
/// open of a file.
///
/// Owns: the process, its socket and pid file; the destructor ends and removes them.
/// Thread: the loop's only.
class ShareServer {
  public:
    /// Starts it. Its socket takes connections from now on, whether it listens already or not.
    /// Throws: Error.
    static std::unique_ptr<ShareServer>
    start(const asio::any_io_executor& executor, const ShareServerSpec& spec);

    ShareServer(
        const asio::any_io_executor& executor,
        ChildSpec spec,
        const std::filesystem::path& run_dir,
        const std::string& name
    );
    ShareServer(const ShareServer&) = delete;
    ShareServer& operator=(const ShareServer&) = delete;
    ~ShareServer();

    /// The process whose mount namespace is the share's.
    pid_t pid() const noexcept { return process_.pid(); }

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

/// Where their pids are told to whoever cleans up, and all files that they have in the run
/// directory.
std::vector<std::filesystem::path> share_server_pid_files(const std::filesystem::path& run_dir);
std::vector<std::filesystem::path> share_server_files(const std::filesystem::path& run_dir);

} // namespace cppvm::vm
