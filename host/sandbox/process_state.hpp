#pragma once

#include "common/async/event.hpp"
#include "host/sandbox/task_event.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace cppvm::sandbox {

/// How a process that was killed, with or without its guest, ended: 128 + SIGKILL.
inline constexpr std::uint32_t killed_status = 137;

/// The life of one process in containerd's terms: a container's init or an exec. Decides what is
/// allowed when; does no I/O.
///
///   created -> starting -> running -> stopped -> deleting
///   running -> paused -> running
///   paused -> stopped        (it was killed)
///   starting -> created      (the start failed, its exit is still to come)
///   starting -> stopped      (the start failed)
///   created -> stopped       (killed before its start)
///   created -> deleting      (it is killed for that)
class ProcessState {
  public:
    enum class Kind { init, exec };

    /// `name` is the process, for errors: "container c1".
    ProcessState(const asio::any_io_executor& executor, Kind kind, std::string name);

    struct Created {};
    struct Starting {};
    struct Running {};
    struct Paused {};
    struct Stopped {
        Exit exit;
    };
    struct Deleting {
        std::optional<Exit> exit; ///< not yet of one that never ran
    };

    template <class State>
    bool is() const noexcept {
        return std::holds_alternative<State>(state_);
    }
    /// Nothing before it has stopped.
    std::optional<Exit> exit() const noexcept;

    /// created -> starting. Throws: Error (failed_precondition) in any other state.
    void begin_start();
    /// starting -> running, unless it has stopped meanwhile.
    void finish_start();
    /// starting -> created: the start failed and an exit is still to come from the guest.
    void abandon_start();
    /// Throws: Error (failed_precondition) that begins with "pause", unless running.
    void check_pause() const;
    /// Throws: Error (failed_precondition) that begins with "resume", unless paused.
    void check_resume() const;
    /// running -> paused. In any other state nothing changes.
    void pause() noexcept;
    /// paused -> running. In any other state nothing changes.
    void resume() noexcept;
    /// Any state -> stopped, or deleting with an exit; the first exit counts. False if it had
    /// stopped before.
    bool stop(Exit exit);
    /// created or stopped -> deleting. Throws: Error (failed_precondition) in any other state.
    void begin_delete();

    /// Throws: Error why `signal` cannot be sent: invalid_argument (there is none of that number),
    /// not_found (it has exited), failed_precondition (an exec that does not run yet).
    void check_signal(std::uint32_t signal) const;
    /// It gets SIGKILL, after which its exit is bounded. False if it has got one before.
    bool begin_kill() noexcept;
    /// For what is to run beside it. Throws: Error (failed_precondition) that begins with
    /// `operation`, unless it has been created and has not stopped, and is not paused.
    void check_alive(std::string_view operation) const;

    /// Until stopped; at once if it is. Any number of waiters.
    Awaitable<Exit> wait();
    Awaitable<> wait_stopped();
    /// While a start is under way, until it has ended one way or the other. So that an exit that
    /// comes at once is published after the start.
    Awaitable<> wait_start_settled();

  private:
    Kind kind_;
    std::string name_;
    std::variant<Created, Starting, Running, Paused, Stopped, Deleting> state_;
    bool killed_ = false;
    Event stopped_;
    Event settled_;
};

} // namespace cppvm::sandbox
