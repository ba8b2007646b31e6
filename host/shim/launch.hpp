#pragma once

#include "common/async/asio.hpp"
#include "common/base/unique_fd.hpp"
#include "common/os/child_process.hpp"
#include "host/shim/command_line.hpp"

#include <chrono>
#include <string>

namespace cppvm::shim {

/// Descriptors that `start` gives the daemon; it has no others but /dev/null as 0, 1 and 2.
inline constexpr int listener_fd = 3;
inline constexpr int channel_fd = 4;

/// The daemon as long as `start` has not succeeded. The two keep a channel: the daemon says that it
/// is ready, or why not; `start` says that it was successful. Until then the daemon starts nothing,
/// and it undoes what it did and exits if `start` ends for whatever reason, SIGKILL included.
///
/// Owns: the daemon until `commit`; the destructor lets it end by itself, for two seconds, and then
/// kills it.
class PendingDaemon {
  public:
    /// Executes this program again as the daemon, in a session of its own.
    /// Throws: Error.
    PendingDaemon(const CommandLine& line, const std::string& address, int listener);
    PendingDaemon(const PendingDaemon&) = delete;
    PendingDaemon& operator=(const PendingDaemon&) = delete;
    ~PendingDaemon();

    /// Blocks until it is ready. Throws: Error with the daemon's own words if it failed, or
    /// deadline_exceeded.
    void wait_ready(std::chrono::milliseconds timeout);

    /// Lets it go on, on its own. Throws: Error if it is gone.
    void commit();

  private:
    asio::io_context loop_; // what ChildProcess wants; never runs
    UniqueFd channel_;
    std::optional<ChildProcess> child_;
};

/// The daemon's end of the channel.
class StartChannel {
  public:
    explicit StartChannel(UniqueFd channel) : channel_(std::move(channel)) {}

    /// Says "ready" and blocks until `start` succeeded. False if `start` ended without.
    /// Throws: Error.
    bool ready_and_wait(std::chrono::milliseconds timeout);

    /// Tells `start` why there is no daemon.
    void failed(std::string_view message) noexcept;

  private:
    UniqueFd channel_;
};

} // namespace cppvm::shim
