// How the end of a process gets from the guest, or past it, to containerd.

#include "common/async/first_of.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "host/sandbox/task.hpp"

#include <csignal>
#include <utility>

namespace cppvm::sandbox {

namespace {

Awaitable<std::uint32_t> receive_exit(agent::ExecEvents& events) {
    const auto event = co_await events.receive();
    if (!event || !event->has_exited()) {
        throw Error(Code::internal, "the guest agent did not report how the process has ended");
    }
    co_return event->exited().exit_status();
}

Awaitable<> receive_end(agent::ExecEvents& events) {
    while (co_await events.receive()) {
    }
}

Awaitable<> store(Awaitable<std::uint32_t> answer, std::uint32_t& status) {
    status = co_await std::move(answer);
}

} // namespace

Awaitable<Exit> Task::wait(std::string exec_id) {
    const ProcessHandle process = find(exec_id);
    co_return co_await process->state.wait();
}

Awaitable<std::uint32_t> Task::ask_status_of_init() {
    const AgentHandle agent = co_await environment_.agent();
    const auto response = co_await agent->rpc().wait_process(init_->reference());
    co_return response.exit_status();
}

// The exit of a process: what the guest answers, or what the host has decided meanwhile. Without an
// answer that makes sense it is killed, and only then dead. Throws: only the abort of `abandon`.
Awaitable<Exit> Task::exit_of(ProcessHandle process, Awaitable<std::uint32_t> answer) {
    std::uint32_t status = 0;
    Status failure;
    try {
        co_await first_of(store(std::move(answer), status), process->state.wait_stopped());
    } catch (...) {
        failure = to_status(std::current_exception());
    }
    if (failure.code == Code::cancelled) { // the guest cannot answer that: see agent::from_guest
        throw Error(failure.code, failure.message);
    }
    if (process->state.exit()) {
        co_return *process->state.exit();
    }
    if (failure.code != Code::ok) {
        co_await lose(process, failure);
        status = killed_status;
    }
    process->ended.set();
    co_return Exit{status & 0xff, WallClock::now()};
}

// A process that the guest cannot tell about any more must not live on unseen.
Awaitable<> Task::lose(ProcessHandle process, Status why) {
    if (why.code == Code::unavailable) {
        co_await environment_.machine_gone();
        co_return;
    }
    logger_.error(
        "The guest does not tell the exit of a process",
        {{"process", process->name()}, {"error", why.message}}
    );
    if (process->is_init()) {
        co_await environment_.end_machine(
            "its agent did not tell the exit of " + process->name() + ": " + why.message
        );
    } else {
        co_await signal_in_guest(process, SIGKILL, false);
    }
}

Awaitable<> Task::watch_init() {
    const Exit exit = co_await exit_of(init_, ask_status_of_init());
    // The start is told before the exit, where the guest tells both.
    co_await ends_by(
        init_->state.wait_start_settled(), deadline_in(environment_.timeouts.start_answer)
    );
    co_await finish_execs();
    finish(init_, exit);
    co_await finish_io(init_);
}

// The guest forgets an exec when its streams have ended; one that is deleted sooner is deleted
// there.
Awaitable<> Task::watch_exec(ProcessHandle process, ExecChannel channel) {
    const Exit exit = co_await exit_of(process, receive_exit(channel.events));
    finish(process, exit);
    co_await finish_io(process);
    bool forgotten = false;
    try {
        forgotten = co_await first_of(receive_end(channel.events), process->deleted.wait()) == 0;
    } catch (const Error& error) {
        logger_.debug(
            "Exec's stream failed", {{"process", process->name()}, {"error", error.message()}}
        );
    }
    if (!forgotten) {
        co_await delete_in_guest(process);
    }
}

// Init's exit ends every process of the container; theirs are reported first.
Awaitable<> Task::finish_execs() {
    const Deadline deadline = deadline_in(environment_.timeouts.exec_exit);
    const auto execs = execs_;
    for (const auto& [id, process] : execs) {
        if (!process->state.is<ProcessState::Running>()) {
            continue;
        }
        if (!co_await ends_by(process->state.wait(), deadline)) {
            finish(process, {killed_status, WallClock::now()});
        }
    }
}

// Order: the record survives a crash of ours, the stand-in's death is what signal 0 sees, then the
// waiters, then the event.
void Task::finish(const ProcessHandle& process, Exit exit) {
    if (process->state.exit()) {
        return;
    }
    if (process->is_init()) {
        try {
            write_task_record(spec_.bundle, {process->pid, exit});
        } catch (const Error& error) {
            logger_.warn("Exit not recorded in the bundle", {{"error", error.message()}});
        }
        other_stand_ins_.clear();
    }
    process->end_stand_in();
    process->ended.set();
    process->state.stop(exit);
    const std::string id = process->is_init() ? spec_.id : process->exec_id;
    environment_.events.publish(TaskExited{spec_.id, id, process->pid, exit});
}

// containerd's clients wait for the end of stdio before they send Delete, so it is closed here and
// not there. A process of the container that still holds the streams (the child of an exec) is cut
// off; whatever it had sent until then is kept until containerd has read it.
Awaitable<> Task::finish_io(ProcessHandle process) {
    if (process->io) {
        co_await process->io->drained(deadline_in(environment_.timeouts.stream_grace));
    }
}

Awaitable<> Task::stop_io(ProcessHandle process, std::chrono::milliseconds grace) {
    if (!process->io) {
        co_return;
    }
    if (grace.count() > 0 && process->state.exit()) {
        co_await process->io->drained(deadline_in(grace));
    }
    co_await process->io->stop();
}

} // namespace cppvm::sandbox
