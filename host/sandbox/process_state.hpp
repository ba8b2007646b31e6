#pragma once

#include "common/async/event.hpp"
#include "host/sandbox/task_event.hpp"

#include <optional>
#include <string>
#include <variant>

namespace cppvm::sandbox {

/// How a process that was killed, with or without its guest, ended: 128 + SIGKILL.
inline constexpr std::uint32_t killed_status = 137;

/// The life of one process in containerd's terms: a container's init or an exec. Decides what is
/// allowed when; does no I/O.
///
///   created -> starting -> running -> stopped
///   created -> stopped                (killed before start, or the guest died)
///   starting -> stopped               (start failed)
class ProcessState {
  public:
    explicit ProcessState(const asio::any_io_executor& executor);

    struct Created {};
    struct Starting {};
    struct Running {};
    struct Stopped {
        Exit exit;
    };

    template <class State>
    bool is() const noexcept {
        return std::holds_alternative<State>(state_);
    }
    /// Nothing before it has stopped.
    std::optional<Exit> exit() const noexcept;

    /// created -> starting. `name` is the process for the error text.
    /// Throws: Error (failed_precondition) in any other state.
    void begin_start(const std::string& name);
    /// starting -> running, unless it has stopped meanwhile.
    void finish_start();
    /// starting -> created: the start failed and an exit is still to come from the guest.
    void abandon_start();
    /// Any state -> stopped; the first exit counts. False if it had stopped before.
    bool stop(Exit exit);

    /// Until stopped; at once if it is. Any number of waiters.
    Awaitable<Exit> wait();
    Awaitable<> wait_stopped();
    /// While a start is under way, until it has ended one way or the other. So that an exit that
    /// comes at once is published after the start.
    Awaitable<> wait_start_settled();

  private:
    std::variant<Created, Starting, Running, Stopped> state_;
    Event stopped_;
    Event settled_;
};

} // namespace cppvm::sandbox
