#pragma once

#include "host/sandbox/process.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <sys/types.h>
#include <variant>

namespace cppvm::sandbox {

/// The life of a sandbox as the Sandbox API has it. Decides what is allowed when; does no I/O.
///
///   absent -> created -> starting
///   starting -> ready           (the machine runs)
///   absent | created | starting | ready -> stopping   (StopSandbox)
///   created | starting | ready | stopping -> ended    (nothing runs in the machine any more)
class PodState {
  public:
    using Time = std::chrono::system_clock::time_point;

    explicit PodState(std::string sandbox_id) : sandbox_id_(std::move(sandbox_id)) {}

    struct Absent {};
    struct Created {};
    struct Starting {};
    struct Ready {};
    struct Stopping {};
    struct Ended {
        Exit exit;
    };

    template <class State>
    bool is() const noexcept {
        return std::holds_alternative<State>(state_);
    }

    /// Throws: Error (already_exists) unless it is absent.
    void check_create() const;
    void create(Time now);

    /// Throws: Error (failed_precondition) unless it is created.
    void begin_start();
    /// False where it is being stopped, or has ended, meanwhile.
    bool finish_start(pid_t pid);

    /// False where somebody else has done so, or there is nothing left to stop.
    bool begin_stop();
    /// Whoever comes first says when. A sandbox that was stopped has the status 0, another that of
    /// a SIGKILL.
    bool end(Time now);

    /// For what is asked of an existing sandbox. Throws: Error (failed_precondition) while it is
    /// absent.
    void check_created(const std::string& operation) const;

    std::optional<Exit> exit() const noexcept;
    std::optional<Time> created_at() const noexcept { return created_at_; }
    pid_t pid() const noexcept { return pid_; } ///< 0: it was never ready

  private:
    std::string about(const std::string& operation) const;

    std::string sandbox_id_;
    std::variant<Absent, Created, Starting, Ready, Stopping, Ended> state_;
    std::optional<Time> created_at_;
    pid_t pid_ = 0;
};

} // namespace cppvm::sandbox
