// How the end of a process gets from the guest, or past it, to containerd.

#include "common/async/first_of.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "host/io/output_pump.hpp"
#include "host/sandbox/task.hpp"

#include <csignal>
#include <utility>

namespace cppvm::sandbox {

Awaitable<Exit> Task::wait(std::string exec_id) {
    const ProcessHandle process = find(exec_id);
    co_return co_await process->state.wait();
}

// The exit of a process: what the guest reports, or what the host has decided meanwhile, or the end
// of the machine.
Awaitable<Exit> Task::exit_of(ProcessHandle process) {
    const auto in_guest = process->in_guest;
    const auto decided_here = [&]() -> Awaitable<> {
        co_await first_of(process->state.wait_stopped(), environment_.machine_gone());
    };
    co_await first_of(in_guest->exited.wait(), decided_here());
    if (process->state.exit()) {
        co_return *process->state.exit();
    }
    process->ended.set();
    const std::uint32_t status =
        in_guest->exited.is_set() ? in_guest->exit_status & 0xff : killed_status;
    co_return Exit{status, WallClock::now()};
}

Awaitable<> Task::watch_init() {
    const Exit exit = co_await exit_of(init_);
    // The start is reported before the exit, if the guest reports both.
    co_await ends_by(
        init_->state.wait_start_settled(), deadline_in(environment_.timeouts.start_answer)
    );
    co_await finish_execs();
    co_await deliver_output(init_);
    finish(init_, exit);
    co_await finish_init_io();
}

// A process of the container may hold the streams open after the exec's end, and write on: until
// containerd deletes the exec, as with runc. The guest forgets it when they have ended.
Awaitable<> Task::watch_exec(ProcessHandle process) {
    const Exit exit = co_await exit_of(process);
    co_await deliver_output(process);
    finish(process, exit);
    bool forgotten = !process->io;
    const auto streams_ended = [&]() -> Awaitable<> {
        forgotten = forgotten || co_await process->io->ended();
    };
    co_await first_of(streams_ended(), process->deleted.wait());
    if (!forgotten) {
        co_await process->deleted.wait();
        co_await delete_in_guest(process);
    }
}

Awaitable<> Task::deliver_output(ProcessHandle process) {
    if (process->io) {
        co_await process->io->delivered(deadline_in(environment_.timeouts.delivery));
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
    }
    process->end_stand_in();
    process->ended.set();
    process->state.stop(exit);
    const std::string id = process->is_init() ? spec_.id : process->exec_id;
    environment_.events.publish(TaskExited{spec_.id, id, process->pid, exit});
}

// containerd's clients wait for the end of a task's stdio before they send Delete, so it is closed
// here and not there. The processes of the container are gone, so only a guest that is none of ours
// still holds it open.
Awaitable<> Task::finish_init_io() {
    if (init_->io) {
        co_await init_->io->drained(deadline_in(environment_.timeouts.stream_grace));
    }
}

Awaitable<> Task::stop_io(ProcessHandle process, std::chrono::milliseconds grace) {
    if (!process->io) {
        co_return;
    }
    if (grace.count() > 0 && process->state.exit() &&
        !co_await process->io->drained(deadline_in(grace))) {
        co_await process->io->drained(deadline_in(io::OutputPump::max_last_time));
    }
    co_await process->io->stop();
}

} // namespace cppvm::sandbox
