// Signals, and the clock that the host has of its own after a SIGKILL.

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "host/sandbox/task.hpp"

#include <csignal>
#include <utility>

namespace cppvm::sandbox {

namespace {

std::string seconds(std::chrono::milliseconds duration) {
    return std::to_string(std::chrono::ceil<std::chrono::seconds>(duration).count()) + " s";
}

} // namespace

Awaitable<> Task::kill(std::string exec_id, std::uint32_t signal, bool all) {
    const ProcessHandle process = find(exec_id);
    process->state.check_signal(signal);
    if (signal == SIGKILL) {
        co_await kill_for_good(process, all);
        co_return;
    }
    const Status answer = co_await signal_in_guest(process, signal, all);
    if (answer.code == Code::failed_precondition) {
        // Most often it has just ended, and its exit is on the way.
        co_await ends_by(process->state.wait(), deadline_in(environment_.timeouts.exec_exit));
        process->state.check_signal(signal);
    }
    if (answer.code != Code::ok) {
        throw Error(answer.code, "kill " + process->name() + ": " + answer.message);
    }
}

// SIGKILL always works. What the guest answers to it decides nothing: from now on the process has a
// limited time to be seen dead.
Awaitable<> Task::kill_for_good(ProcessHandle process, bool all) {
    if (process->state.begin_kill()) {
        coroutines_.spawn("kill clock of " + process->name(), run_kill_clock(process));
    }
    const Status answer = co_await signal_in_guest(process, SIGKILL, all);
    if (answer.code == Code::ok || process->state.exit()) {
        co_return;
    }
    logger_.warn(
        "The guest has not confirmed a SIGKILL",
        {{"process", process->name()}, {"error", answer.message}}
    );
    if (answer.code == Code::deadline_exceeded && process->is_init()) {
        co_await environment_.end_machine("its agent does not answer a SIGKILL");
    }
}

Awaitable<> Task::run_kill_clock(ProcessHandle process) {
    const auto limit = environment_.timeouts.kill;
    if (co_await ends_by(process->ended.wait(), deadline_in(limit))) {
        co_return;
    }
    if (process->is_init()) {
        // Its watcher, whose connection ends with the machine, reports the exit.
        co_await environment_.end_machine(
            process->name() + " has not exited within " + seconds(limit) +
            " of SIGKILL; a hung volume, or a guest that is not to be trusted"
        );
        co_return;
    }
    logger_.warn(
        "Exec did not exit after SIGKILL, giving up on it",
        {{"process", process->name()}, {"waited", seconds(limit)}}
    );
    finish(process, {killed_status, WallClock::now()});
}

// The guest's answer, or why there is none. Throws: only the cancellation of `abandon`.
Awaitable<Status> Task::signal_in_guest(ProcessHandle process, std::uint32_t signal, bool all) {
    try {
        agent::v2::SignalProcessRequest request;
        *request.mutable_process() = process->reference();
        request.set_signal(signal);
        request.set_all(all && process->is_init());
        const AgentHandle agent = co_await environment_.agent();
        // Who is killed twice is no more dead than before; other signals count.
        const auto repeat = signal == SIGKILL ? agent::Repeat::yes : agent::Repeat::no;
        co_await agent->call(
            &agent::v2::AgentClient::signal_process,
            std::move(request),
            deadline_in(environment_.timeouts.signal),
            repeat
        );
        co_return Status{};
    } catch (...) {
        const Status failure = to_status(std::current_exception());
        if (failure.code == Code::cancelled) {
            throw;
        }
        co_return failure;
    }
}

// Somebody on the host who kills the pid that containerd shows means the process.
Awaitable<> Task::watch_stand_in(ProcessHandle process, std::shared_ptr<StandIn> stand_in) {
    co_await stand_in->wait();
    co_await process->state.wait_start_settled();
    if (process->state.exit()) {
        co_return; // we ended it
    }
    logger_.warn(
        "Stand-in of a guest process was killed, killing the process too",
        {{"process", process->name()}, {"pid", process->pid}}
    );
    co_await kill_for_good(process, false);
}

} // namespace cppvm::sandbox
