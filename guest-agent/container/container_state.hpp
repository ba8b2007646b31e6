#pragma once

#include <string>
#include <variant>

namespace cppvm::guest {

/// The life of a container in the guest. Decides what is allowed when; does no I/O.
///
///   creating -> created -> running -> ending -> exited -> removing
///   creating -> removing     (it could not be made)
///   created -> ending        (its init was killed before its program)
///   created -> removing      (it never started)
///
/// Ending: its init is gone, and what it leaves behind is being ended; exited: the host is told.
class ContainerState {
  public:
    explicit ContainerState(std::string id) : id_(std::move(id)) {}

    struct Creating {};
    struct Created {};
    struct Running {};
    struct Ending {};
    struct Exited {};
    struct Removing {};

    template <class State>
    bool is() const noexcept {
        return std::holds_alternative<State>(state_);
    }

    /// creating -> created. In any other state nothing changes.
    void finish_create() noexcept;
    /// created -> running. Throws: Error (failed_precondition) in any other state.
    void start();
    /// For an exec. Throws: Error (failed_precondition) unless created or running.
    void check_exec() const;
    /// For its freezer. Throws: Error (failed_precondition) unless running.
    void check_running() const;
    /// For a change of limits. Throws: Error (failed_precondition) unless created or running.
    void check_updatable() const;
    /// Its init is gone: created or running -> ending. In any other state nothing changes.
    void end() noexcept;
    /// ending -> exited. In any other state nothing changes.
    void exit() noexcept;
    /// created or exited -> removing. Throws: Error (failed_precondition) in any other state.
    void remove();
    /// creating -> removing, after a create that failed.
    void give_up() noexcept;

  private:
    std::string id_;
    std::variant<Creating, Created, Running, Ending, Exited, Removing> state_;
};

} // namespace cppvm::guest
