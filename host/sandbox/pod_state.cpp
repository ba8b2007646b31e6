#include "host/sandbox/pod_state.hpp"

#include "common/base/error.hpp"

namespace cppvm::sandbox {

namespace {

struct Name {
    const char* operator()(const PodState::Absent&) const { return "has not been created"; }
    const char* operator()(const PodState::Created&) const { return "is not started"; }
    const char* operator()(const PodState::Starting&) const { return "is being started"; }
    const char* operator()(const PodState::Ready&) const { return "is already running"; }
    const char* operator()(const PodState::Stopping&) const { return "is being stopped"; }
    const char* operator()(const PodState::Ended&) const { return "has ended"; }
};

} // namespace

std::string PodState::about(const std::string& operation) const {
    return operation + " sandbox " + sandbox_id_ + ": it " + std::visit(Name{}, state_);
}

void PodState::check_create() const {
    if (!is<Absent>()) {
        throw Error(Code::already_exists, "create sandbox " + sandbox_id_ + ": already exists");
    }
}

void PodState::create(Time now) {
    check_create();
    created_at_ = now;
    state_ = Created{};
}

void PodState::begin_start() {
    if (!is<Created>()) {
        throw Error(Code::failed_precondition, about("start"));
    }
    state_ = Starting{};
}

bool PodState::finish_start(pid_t pid) {
    if (!is<Starting>()) {
        return false;
    }
    pid_ = pid;
    state_ = Ready{};
    return true;
}

bool PodState::begin_stop() {
    if (is<Stopping>() || is<Ended>()) {
        return false;
    }
    state_ = Stopping{};
    return true;
}

bool PodState::end(Time now) {
    if (is<Absent>() || is<Ended>()) {
        return false;
    }
    const std::uint32_t status = is<Stopping>() ? 0 : killed_status;
    state_ = Ended{{status, now}};
    return true;
}

void PodState::check_created(const std::string& operation) const {
    if (is<Absent>()) {
        throw Error(Code::failed_precondition, about(operation));
    }
}

std::optional<Exit> PodState::exit() const noexcept {
    const auto* const ended = std::get_if<Ended>(&state_);
    return ended != nullptr ? std::optional(ended->exit) : std::nullopt;
}

} // namespace cppvm::sandbox
