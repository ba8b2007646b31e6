// Starting, watching, signalling and listing the processes of a container.

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/oci/parse.hpp"
#include "host/sandbox/container.hpp"

#include <csignal>
#include <utility>

namespace cppvm::sandbox {

namespace {

constexpr std::chrono::seconds start_timeout{60};
constexpr std::chrono::seconds signal_timeout{3};
// containerd asks for State and Pids with limits of 2 s and more.
constexpr std::chrono::milliseconds list_timeout{1500};
// The exits of execs are in the guest already when init's is; this only bounds a guest that lies.
constexpr std::chrono::seconds exec_exit_timeout{2};
constexpr std::chrono::seconds stream_grace{2};
constexpr std::uint32_t killed_status = 128 + SIGKILL;
// What runc's clients see when a process could not be executed.
constexpr std::uint32_t start_failed_status = 255;
// A guest could list any number; each costs a process on the host.
constexpr std::size_t max_other_processes = 128;

Awaitable<agent::v1::ExecEvent::Started> receive_started(agent::ExecEvents& events) {
    auto event = co_await events.receive();
    if (!event || !event->has_started()) {
        throw Error(Code::internal, "the guest agent did not say that the process has started");
    }
    co_return event->started();
}

Awaitable<std::uint32_t> receive_exit(agent::ExecEvents& events) {
    const auto event = co_await events.receive();
    if (!event || !event->has_exited()) {
        throw Error(Code::internal, "the guest agent did not say how the process has ended");
    }
    co_return event->exited().exit_status();
}

} // namespace

Container::ProcessHandle Container::find_running_init(std::string_view operation) const {
    if (!init_->state.is<ProcessState::Running>()) {
        throw Error(
            Code::failed_precondition,
            std::string(operation) + ": container " + spec_.id + " init process is not running"
        );
    }
    return init_;
}

void Container::add_exec(std::string exec_id, io::StdioSpec stdio, std::string process) {
    const std::string operation = "add exec " + exec_id;
    if (execs_.contains(exec_id)) {
        throw Error(
            Code::already_exists,
            operation + " to container " + spec_.id + ": the id is in use: already exists"
        );
    }
    find_running_init(operation);
    if (removing_) {
        throw Error(Code::failed_precondition, operation + ": the container is being deleted");
    }
    try {
        oci::parse_process(process);
    } catch (...) {
        rethrow_with_context(operation + " to container " + spec_.id);
    }
    auto added =
        std::make_shared<Process>(environment_.executor, spec_.id, exec_id, std::move(stdio));
    added->exec_spec = std::move(process);
    execs_.emplace(exec_id, std::move(added));
    environment_.events.publish(ExecAdded{spec_.id, std::move(exec_id)});
}

Awaitable<pid_t> Container::start(std::string exec_id) {
    const ProcessHandle process = find(exec_id);
    if (process->is_init()) {
        process->state.begin_start(process->name());
        co_await start_init();
    } else {
        find_running_init("start exec " + exec_id);
        process->state.begin_start(process->name());
        co_await start_exec(process);
    }
    co_return process->pid;
}

Awaitable<> Container::start_init() {
    std::exception_ptr failure;
    try {
        agent::v1::StartContainerRequest request;
        request.set_container_id(spec_.id);
        agent::AgentConnection* agent = co_await environment_.agent();
        co_await agent->rpc().start_container(
            request, {.deadline = deadline_in(start_timeout), .metadata = {}}
        );
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        // The init in the guest has ended or will: the watcher stores and reports its exit.
        init_->state.abandon_start();
        std::rethrow_exception(failure);
    }
    environment_.events.publish(TaskStarted{spec_.id, init_->pid});
    init_->state.finish_start();
}

Awaitable<> Container::start_exec(ProcessHandle process) {
    std::exception_ptr failure;
    std::optional<agent::ExecEvents> events;
    try {
        co_await open_io(process);
        start_stand_in(process);
        agent::AgentConnection* agent = co_await environment_.agent();
        agent::v1::RunExecRequest request;
        request.set_container_id(spec_.id);
        request.set_exec_id(process->exec_id);
        request.set_process(process->exec_spec);
        *request.mutable_stdio() = co_await open_stdio(process, *agent);
        events.emplace(co_await agent->rpc().run_exec(request));
        const auto started = co_await with_timeout(
            receive_started(*events), deadline_in(start_timeout), "start " + process->name()
        );
        report_not_honoured(
            *process, {started.not_honoured().begin(), started.not_honoured().end()}
        );
    } catch (...) {
        failure = std::current_exception();
    }
    process->exec_spec.clear();
    if (failure) {
        process->state.stop({start_failed_status, WallClock::now()});
        process->stand_in.reset();
        co_await stop_io(process, std::chrono::milliseconds(0));
        std::rethrow_exception(failure);
    }
    environment_.events.publish(ExecStarted{spec_.id, process->exec_id, process->pid});
    process->state.finish_start();
    tasks_.spawn("watch " + process->name(), watch_exec(process, std::move(*events)));
}

Awaitable<Exit> Container::wait(std::string exec_id) {
    const ProcessHandle process = find(exec_id);
    co_return co_await process->state.wait();
}

Awaitable<std::uint32_t> Container::status_of_init() {
    agent::AgentConnection* agent = co_await environment_.agent();
    const auto response = co_await agent->rpc().wait_process(init_->reference());
    co_return response.exit_status();
}

// When the guest is gone the call fails, and the process with it.
Awaitable<std::uint32_t>
Container::status_or_killed(ProcessHandle process, Awaitable<std::uint32_t> wait) {
    try {
        co_return co_await std::move(wait) & 0xff;
    } catch (...) {
        const Status error = to_status(std::current_exception());
        if (error.code == Code::cancelled) {
            throw;
        }
        logger_.warn(
            "Process lost with its guest", {{"process", process->name()}, {"error", error.message}}
        );
    }
    co_return killed_status;
}

Awaitable<> Container::watch_init() {
    const std::uint32_t status = co_await status_or_killed(init_, status_of_init());
    const auto now = WallClock::now();
    co_await init_->state.wait_start_settled();
    co_await finish_execs();
    co_await finish(init_, {status, now});
    co_await finish_io(init_);
}

Awaitable<> Container::watch_exec(ProcessHandle process, agent::ExecEvents events) {
    const std::uint32_t status = co_await status_or_killed(process, receive_exit(events));
    co_await finish(process, {status, WallClock::now()});
    co_await finish_io(process);
    const auto last = co_await events.receive();
    process->forgotten = !last;
}

// Init's exit ends every process of the container; theirs are reported first.
Awaitable<> Container::finish_execs() {
    const Deadline deadline = deadline_in(exec_exit_timeout);
    const auto execs = execs_;
    for (const auto& [id, process] : execs) {
        if (!process->state.is<ProcessState::Running>()) {
            continue;
        }
        if (!co_await ends_by(process->state.wait(), deadline)) {
            co_await finish(process, {killed_status, WallClock::now()});
        }
    }
}

// Order: the record survives a crash of ours, the stand-in's death is what signal 0 sees, then the
// waiters, then the event.
Awaitable<> Container::finish(ProcessHandle process, Exit exit) {
    if (process->state.exit()) {
        co_return;
    }
    if (process->is_init()) {
        try {
            write_task_record(spec_.bundle, {process->pid, exit});
        } catch (const Error& error) {
            logger_.warn("Exit not recorded in the bundle", {{"error", error.message()}});
        }
        other_stand_ins_.clear();
    }
    process->stand_in.reset();
    process->state.stop(exit);
    const std::string id = process->is_init() ? spec_.id : process->exec_id;
    environment_.events.publish(TaskExited{spec_.id, id, process->pid, exit});
    co_return;
}

// containerd's clients wait for the end of stdio before they send Delete, so it is closed here and
// not there. A process of the container that still holds the streams (the child of an exec) is cut
// off; whatever it had sent until then is kept until containerd has read it.
Awaitable<> Container::finish_io(ProcessHandle process) {
    if (!process->io) {
        co_return;
    }
    const bool ended = co_await process->io->drained(deadline_in(stream_grace));
    if (!ended) {
        logger_.info(
            "Streams closed although a process in the guest holds them open",
            {{"process", process->name()}}
        );
    }
}

Awaitable<> Container::kill(std::string exec_id, std::uint32_t signal, bool all) {
    const ProcessHandle process = find(exec_id);
    const std::string operation = "kill " + process->name();
    if (signal == 0 || signal > 64) {
        throw Error(
            Code::invalid_argument, operation + ": no such signal " + std::to_string(signal)
        );
    }
    if (process->state.exit()) {
        throw Error(Code::not_found, operation + ": process already finished: not found");
    }
    if (!process->is_init() && !process->state.is<ProcessState::Running>()) {
        throw Error(Code::failed_precondition, operation + ": process not created");
    }
    std::exception_ptr failure;
    try {
        agent::v1::SignalProcessRequest request;
        *request.mutable_process() = process->reference();
        request.set_signal(signal);
        request.set_all(all && process->is_init());
        agent::AgentConnection* agent = co_await environment_.agent();
        co_await agent->rpc().signal_process(
            request, {.deadline = deadline_in(signal_timeout), .metadata = {}}
        );
    } catch (...) {
        failure = std::current_exception();
    }
    if (!failure) {
        co_return;
    }
    const Status status = to_status(failure);
    const bool silent = status.code == Code::deadline_exceeded || status.code == Code::unavailable;
    if (!silent || signal != SIGKILL || !process->is_init()) {
        std::rethrow_exception(with_context(failure, operation));
    }
    // SIGKILL always works, also against a guest that is wedged.
    logger_.warn(
        "Guest agent does not answer a SIGKILL; destroying the VM", {{"error", status.message}}
    );
    co_await environment_.destroy_machine();
}

ProcessStatus Container::status(const std::string& exec_id) const {
    return find(exec_id)->status();
}

Awaitable<>
Container::resize_console(std::string exec_id, std::uint32_t width, std::uint32_t height) {
    const ProcessHandle process = find(exec_id);
    if (!process->stdio.terminal || process->state.exit()) {
        co_return;
    }
    agent::v1::ResizeConsoleRequest request;
    *request.mutable_process() = process->reference();
    request.set_width(width);
    request.set_height(height);
    agent::AgentConnection* agent = co_await environment_.agent();
    co_await agent->rpc().resize_console(
        request, {.deadline = deadline_in(signal_timeout), .metadata = {}}
    );
}

void Container::close_stdin(const std::string& exec_id) {
    const ProcessHandle process = find(exec_id);
    if (process->io) {
        process->io->close_stdin();
    }
}

Awaitable<std::vector<ProcessEntry>> Container::processes() {
    std::vector<ProcessEntry> entries = {{init_->pid, ""}};
    if (init_->state.exit()) {
        co_return entries;
    }
    agent::v1::ListProcessesResponse listed;
    try {
        agent::v1::ListProcessesRequest request;
        request.set_container_id(spec_.id);
        agent::AgentConnection* agent = co_await environment_.agent();
        listed = co_await agent->rpc().list_processes(
            request, {.deadline = deadline_in(list_timeout), .metadata = {}}
        );
    } catch (const Error& error) {
        logger_.warn("Guest processes not listed", {{"error", error.message()}});
        co_return entries;
    }
    // Stand-ins of processes that are gone go; new ones get theirs.
    auto known = std::exchange(other_stand_ins_, {});
    for (const auto& process : listed.processes()) {
        if (process.is_init()) {
            continue;
        }
        const auto exec = execs_.find(process.exec_id());
        if (!process.exec_id().empty() && exec != execs_.end()) {
            entries.push_back({exec->second->pid, process.exec_id()});
            continue;
        }
        if (other_stand_ins_.size() == max_other_processes) {
            logger_.warn("Too many guest processes to list", {{"limit", max_other_processes}});
            break;
        }
        if (!init_->stand_in) {
            break; // it ended while we asked
        }
        auto& stand_in = other_stand_ins_[process.pid()];
        if (const auto found = known.find(process.pid()); found != known.end()) {
            stand_in = std::move(found->second);
        } else {
            stand_in = make_stand_in(network::NamespaceSpec::of_process(init_->pid));
        }
        entries.push_back({stand_in->pid(), ""});
    }
    co_return entries;
}

} // namespace cppvm::sandbox
