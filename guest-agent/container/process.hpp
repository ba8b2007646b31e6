#pragma once

#include "common/async/event.hpp"
#include "common/log/logger.hpp"
#include "guest-agent/container/reaper.hpp"
#include "guest-agent/container/stdio_setup.hpp"
#include "guest-agent/setup/control_channel.hpp"
#include "guest-agent/setup/launch.hpp"
#include "guest-agent/stdio/process_io.hpp"

#include <functional>
#include <memory>
#include <variant>

namespace cppvm::guest {

/// One process of a container, from its clone until it is forgotten.
/// Owns: its pidfd, its streams, its console. The child itself is the Reaper's, which keeps the
/// object alive until the child has been reaped. `close` must have been awaited before the
/// destructor.
/// Thread: the loop's only.
class Process : public std::enable_shared_from_this<Process> {
  public:
    Process(const asio::any_io_executor& executor, Logger logger);

    /// Takes a new child over; in the turn of the loop that made it. `on_reaped` is called when it
    /// has ended, and decides when `publish_exit` tells others.
    /// `on_watches` is called with the descriptor of install_watch_filter(), if the child has one.
    void adopt(
        Launched child,
        Reaper& reaper,
        std::function<void()> on_reaped,
        std::function<void(UniqueFd)> on_watches
    );

    /// Until the child is ready to execute its program; then its streams run.
    /// Throws: Error with the child's own words for what failed; the child ends by itself.
    Awaitable<> prepare(StdioSetup& stdio, Deadline deadline);

    /// Lets it execute its program, and waits until it has.
    /// Throws: Error; failed_precondition unless it is prepared, or with the words of the failed
    /// execve.
    Awaitable<> start(Deadline deadline);

    /// Instead of both, for a process that nobody holds back: until it has executed its program.
    /// Its streams run before that. `terminal`: it makes one. Throws: Error with the child's words.
    Awaitable<> run(StdioSetup& stdio, bool terminal, Deadline deadline);

    pid_t pid() const noexcept { return pid_; }
    /// For setns; -1 once it has ended.
    int pidfd() const noexcept;
    /// Never adopted a child.
    bool is_empty() const noexcept { return std::holds_alternative<Empty>(state_); }
    bool has_ended() const noexcept { return std::holds_alternative<Ended>(state_); }

    /// False if it has ended. Throws: Error.
    bool send_signal(int number);

    /// Returns its exit status, once that is published. Any number of waiters.
    Awaitable<unsigned> wait_exit();
    void publish_exit() noexcept { published_.set(); }

    /// SIGKILL, then waits until it has been reaped. Nothing happens if it never was, or has ended.
    /// Throws: Error (deadline_exceeded).
    Awaitable<> kill(Deadline deadline);

    /// Without a terminal nothing happens. Throws: Error.
    void resize_console(unsigned width, unsigned height);

    /// Until its streams have ended, by themselves or by `close`.
    Awaitable<> wait_streams();

    /// Ends its streams and closes its console. Idempotent.
    Awaitable<> close();

  private:
    struct Empty {};
    struct Preparing {
        UniqueFd pidfd;
    };
    struct Waiting {
        UniqueFd pidfd;
    };
    struct Running {
        UniqueFd pidfd;
    };
    struct Ended {
        unsigned status = 0;
    };

    Awaitable<std::optional<ControlMessage>> receive();
    Awaitable<ControlMessage> expect(ControlKind kind);
    /// Waits until the child says that it is ready, with its terminal's master if it has one.
    Awaitable<> receive_console(Deadline deadline);
    Awaitable<> finish_start(Deadline deadline);
    UniqueFd* pidfd_of_state() noexcept;

    asio::any_io_executor executor_;
    pid_t pid_ = -1;
    std::variant<Empty, Preparing, Waiting, Running, Ended> state_;
    std::function<void(UniqueFd)> on_watches_;
    std::shared_ptr<AgentControl> control_; // until it has executed its program
    UniqueFd console_;
    Event reaped_;
    Event published_;
    ProcessIo io_;
};

} // namespace cppvm::guest
