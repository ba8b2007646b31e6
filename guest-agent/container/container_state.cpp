#include "guest-agent/container/container_state.hpp"

#include "common/base/error.hpp"

namespace cppvm::guest {

void ContainerState::finish_create() noexcept {
    if (is<Creating>()) {
        state_ = Created{};
    }
}

void ContainerState::start() {
    if (!is<Created>()) {
        throw Error(
            Code::failed_precondition,
            "container " + id_ + ": init was started before, or has ended"
        );
    }
    state_ = Running{};
}

void ContainerState::check_exec() const {
    if (!is<Created>()) {
        check_running();
    }
}

void ContainerState::check_running() const {
    if (!is<Running>()) {
        throw Error(Code::failed_precondition, "container " + id_ + " init process is not running");
    }
}

void ContainerState::check_updatable() const {
    if (!is<Created>() && !is<Running>()) {
        throw Error(
            Code::failed_precondition,
            "update container " + id_ + ": it has ended, or is not there yet"
        );
    }
}

void ContainerState::end() noexcept {
    if (is<Created>() || is<Running>()) {
        state_ = Ending{};
    }
}

void ContainerState::exit() noexcept {
    if (is<Ending>()) {
        state_ = Exited{};
    }
}

void ContainerState::remove() {
    const std::string operation = "delete container " + id_ + ": ";
    if (is<Creating>() || is<Removing>()) {
        throw Error(
            Code::failed_precondition,
            operation + "is being " + (is<Creating>() ? "created" : "deleted")
        );
    }
    if (!is<Created>() && !is<Exited>()) {
        throw Error(Code::failed_precondition, operation + "the process is running; kill it first");
    }
    state_ = Removing{};
}

void ContainerState::give_up() noexcept {
    if (is<Creating>()) {
        state_ = Removing{};
    }
}

} // namespace cppvm::guest
