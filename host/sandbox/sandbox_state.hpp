#pragma once

#include "host/sandbox/agent_handle.hpp"

#include <exception>
#include <string>
#include <variant>

namespace cppvm::sandbox {

/// The life of a sandbox. Decides what is allowed when; does no I/O.
///
///   waiting -> booting       (what it is to be is known)
///   booting -> running       (the agent answers)
///   running -> ended         (the machine has ended, or is being ended)
///   booting -> failed        (it never ran)
///   any -> stopping          (for good)
class SandboxState {
  public:
    explicit SandboxState(std::string sandbox_id) : sandbox_id_(std::move(sandbox_id)) {}

    /// For CreateSandbox; with the Task API it boots at once.
    struct Waiting {
        AgentHandle agent;
    };
    // The agent: null until it has been connected to. Whoever destroys the machine stops the
    // connection, whatever has become of the sandbox meanwhile.
    struct Booting {
        AgentHandle agent;
    };
    struct Running {
        AgentHandle agent;
    };
    struct Failed {
        std::exception_ptr failure;
        AgentHandle agent;
    };
    struct Ended {
        std::string reason;
        AgentHandle agent;
    };
    struct Stopping {
        AgentHandle agent;
    };

    template <class State>
    bool is() const noexcept {
        return std::holds_alternative<State>(state_);
    }

    /// waiting -> booting. False in any other state.
    bool boot();
    /// While booting: the agent answers. False in any other state: the agent stays the caller's.
    bool connect(AgentHandle agent);
    /// booting -> running. False in any other state.
    bool run();
    /// booting -> failed. False in any other state.
    bool fail(std::exception_ptr failure);
    /// running -> ended. False in any other state: then somebody else ends the machine.
    bool end(std::string reason);
    /// Any state -> stopping.
    void stop();

    /// Throws: why no task can be created: Error (failed_precondition) that begins with
    /// `operation`.
    void check_takes_tasks(const std::string& operation) const;
    /// Throws: why the machine and its share cannot be used, or will not be: what the boot has
    /// failed of; Error (unavailable) once it has ended; Error (cancelled) once it is stopping.
    void check_usable() const;
    /// For a call to the guest. Throws: as `check_usable`; Error (failed_precondition) while
    /// booting.
    AgentHandle agent() const;

    /// The link to the agent, whatever the state; null if there never was one.
    AgentHandle connection() const noexcept;
    /// Why it has failed or ended; empty in other states.
    std::string reason() const;

  private:
    std::string sandbox_id_;
    std::variant<Waiting, Booting, Running, Failed, Ended, Stopping> state_;
};

} // namespace cppvm::sandbox
