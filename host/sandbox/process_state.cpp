#include "host/sandbox/process_state.hpp"

#include "common/base/error.hpp"

namespace cppvm::sandbox {

ProcessState::ProcessState(const asio::any_io_executor& executor)
    : stopped_(executor), settled_(executor) {
    settled_.set();
}

std::optional<Exit> ProcessState::exit() const noexcept {
    const auto* stopped = std::get_if<Stopped>(&state_);
    return stopped != nullptr ? std::optional(stopped->exit) : std::nullopt;
}

void ProcessState::begin_start(const std::string& name) {
    if (!is<Created>()) {
        const char* reason = is<Stopped>()    ? "it has already exited"
                             : is<Starting>() ? "it is being started"
                                              : "it is already running";
        throw Error(Code::failed_precondition, "start " + name + ": " + reason);
    }
    state_ = Starting{};
    settled_.clear();
}

void ProcessState::finish_start() {
    if (is<Starting>()) {
        state_ = Running{};
    }
    settled_.set();
}

void ProcessState::abandon_start() {
    if (is<Starting>()) {
        state_ = Created{};
    }
    settled_.set();
}

bool ProcessState::stop(Exit exit) {
    if (is<Stopped>()) {
        return false;
    }
    state_ = Stopped{exit};
    settled_.set();
    stopped_.set();
    return true;
}

Awaitable<> ProcessState::wait_stopped() {
    co_await stopped_.wait();
}

Awaitable<Exit> ProcessState::wait() {
    co_await wait_stopped();
    co_return std::get<Stopped>(state_).exit;
}

Awaitable<> ProcessState::wait_start_settled() {
    co_await settled_.wait();
}

} // namespace cppvm::sandbox
