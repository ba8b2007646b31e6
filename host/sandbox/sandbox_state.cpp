#include "host/sandbox/sandbox_state.hpp"

#include "common/base/error.hpp"

#include <utility>

namespace cppvm::sandbox {

bool SandboxState::boot() {
    if (!is<Waiting>()) {
        return false;
    }
    state_ = Booting{};
    return true;
}

bool SandboxState::connect(AgentHandle agent) {
    if (!is<Booting>()) {
        return false;
    }
    state_ = Booting{std::move(agent)};
    return true;
}

bool SandboxState::run() {
    if (!is<Booting>()) {
        return false;
    }
    state_ = Running{connection()};
    return true;
}

bool SandboxState::fail(std::exception_ptr failure) {
    if (!is<Booting>()) {
        return false;
    }
    state_ = Failed{std::move(failure), connection()};
    return true;
}

bool SandboxState::end(std::string reason) {
    if (!is<Running>()) {
        return false;
    }
    state_ = Ended{std::move(reason), connection()};
    return true;
}

void SandboxState::stop() {
    state_ = Stopping{connection()};
}

void SandboxState::check_takes_tasks(const std::string& operation) const {
    if (is<Waiting>()) {
        throw Error(
            Code::failed_precondition,
            operation + ": the sandbox has not been created: its bundle has no config.json with a "
                        "process, so CreateSandbox comes first"
        );
    }
    if (is<Stopping>()) {
        throw Error(Code::failed_precondition, operation + ": the sandbox is stopping");
    }
}

void SandboxState::check_usable() const {
    if (const auto* const failed = std::get_if<Failed>(&state_)) {
        std::rethrow_exception(failed->failure);
    }
    if (const auto* const ended = std::get_if<Ended>(&state_)) {
        throw Error(
            Code::unavailable,
            "the VM of sandbox " + sandbox_id_ + " has been ended: " + ended->reason +
                "; recreate the pod or container"
        );
    }
    if (is<Stopping>()) {
        throw Error(Code::cancelled, "sandbox " + sandbox_id_ + " was stopped");
    }
}

AgentHandle SandboxState::agent() const {
    check_usable();
    if (const auto* const running = std::get_if<Running>(&state_)) {
        return running->agent;
    }
    throw Error(Code::failed_precondition, "sandbox " + sandbox_id_ + " is still booting");
}

AgentHandle SandboxState::connection() const noexcept {
    return std::visit([](const auto& state) { return state.agent; }, state_);
}

std::string SandboxState::reason() const {
    if (const auto* const failed = std::get_if<Failed>(&state_)) {
        return to_status(failed->failure).message;
    }
    const auto* const ended = std::get_if<Ended>(&state_);
    return ended != nullptr ? ended->reason : std::string();
}

} // namespace cppvm::sandbox
