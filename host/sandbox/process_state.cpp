#include "host/sandbox/process_state.hpp"

#include "common/base/error.hpp"

#include <utility>

namespace cppvm::sandbox {

namespace {

constexpr std::uint32_t last_signal = 64; // SIGRTMAX, signal(7)

} // namespace

ProcessState::ProcessState(const asio::any_io_executor& executor, Kind kind, std::string name)
    : kind_(kind), name_(std::move(name)), stopped_(executor), settled_(executor) {
    settled_.set();
}

std::optional<Exit> ProcessState::exit() const noexcept {
    if (const auto* const stopped = std::get_if<Stopped>(&state_)) {
        return stopped->exit;
    }
    const auto* const deleting = std::get_if<Deleting>(&state_);
    return deleting != nullptr ? deleting->exit : std::nullopt;
}

void ProcessState::begin_start() {
    if (!is<Created>()) {
        const char* const reason = is<Deleting>()   ? "it is being deleted"
                                   : is<Stopped>()  ? "it has already exited"
                                   : is<Starting>() ? "it is being started"
                                   : is<Paused>()   ? "it is paused"
                                                    : "it is already running";
        throw Error(Code::failed_precondition, "start " + name_ + ": " + reason);
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

void ProcessState::check_pause() const {
    if (!is<Running>()) {
        throw Error(
            Code::failed_precondition,
            "pause " + name_ + ": it is " + (is<Paused>() ? "already paused" : "not running")
        );
    }
}

void ProcessState::check_resume() const {
    if (!is<Paused>()) {
        throw Error(Code::failed_precondition, "resume " + name_ + ": it is not paused");
    }
}

void ProcessState::pause() noexcept {
    if (is<Running>()) {
        state_ = Paused{};
    }
}

void ProcessState::resume() noexcept {
    if (is<Paused>()) {
        state_ = Running{};
    }
}

bool ProcessState::stop(Exit exit) {
    if (this->exit()) {
        return false;
    }
    if (auto* const deleting = std::get_if<Deleting>(&state_)) {
        deleting->exit = exit;
    } else {
        state_ = Stopped{exit};
    }
    settled_.set();
    stopped_.set();
    return true;
}

void ProcessState::begin_delete() {
    if (is<Deleting>()) {
        throw Error(Code::failed_precondition, "delete " + name_ + ": it is already being deleted");
    }
    if (is<Starting>() || is<Running>() || is<Paused>()) {
        throw Error(
            Code::failed_precondition,
            "delete " + name_ + ": it is " + (is<Paused>() ? "paused" : "still running")
        );
    }
    state_ = Deleting{exit()};
}

void ProcessState::check_signal(std::uint32_t signal) const {
    const std::string operation = "kill " + name_;
    if (signal == 0 || signal > last_signal) {
        throw Error(
            Code::invalid_argument, operation + ": no such signal " + std::to_string(signal)
        );
    }
    if (exit()) {
        throw Error(Code::not_found, operation + ": process already finished: not found");
    }
    if (kind_ == Kind::exec && !is<Running>()) {
        throw Error(Code::failed_precondition, operation + ": process not created");
    }
}

bool ProcessState::begin_kill() noexcept {
    return !std::exchange(killed_, true);
}

void ProcessState::check_alive(std::string_view operation) const {
    if (!is<Created>() && !is<Starting>() && !is<Running>()) {
        const char* const reason = is<Paused>()          ? " is paused"
                                   : kind_ == Kind::init ? " init process is not running"
                                                         : " is not running";
        throw Error(Code::failed_precondition, std::string(operation) + ": " + name_ + reason);
    }
}

Awaitable<> ProcessState::wait_stopped() {
    co_await stopped_.wait();
}

Awaitable<Exit> ProcessState::wait() {
    co_await wait_stopped();
    co_return exit().value();
}

Awaitable<> ProcessState::wait_start_settled() {
    co_await settled_.wait();
}

} // namespace cppvm::sandbox
