// Starting the processes of a container: stand-in, stdio, and the agent's part.

#include "common/async/all_of.hpp"
#include "common/async/first_of.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/base/joined.hpp"
#include "common/oci/id_map.hpp"
#include "common/oci/spec_json.hpp"
#include "host/sandbox/task.hpp"

#include <csignal>
#include <utility>

namespace cppvm::sandbox {

namespace {

// What runc's clients see when a process could not be executed.
constexpr std::uint32_t start_failed_status = 255;

// Made again where the answer was lost: that the init has been started before then means that this
// did it.
Awaitable<> call_start(AgentHandle agent, std::string container_id, Deadline deadline) {
    agent::v2::StartContainerRequest request;
    request.set_container_id(std::move(container_id));
    bool lost_answer = false;
    try {
        co_await agent->call(&agent::v2::AgentClient::start_container, request, deadline);
    } catch (const Error& error) {
        if (error.code() != Code::unavailable) {
            throw;
        }
        lost_answer = true;
    }
    if (!lost_answer) {
        co_return;
    }
    try {
        co_await agent->call(&agent::v2::AgentClient::start_container, request, deadline);
    } catch (const Error& error) {
        if (error.code() != Code::failed_precondition) {
            throw;
        }
    }
}

} // namespace

void Task::add_exec(std::string exec_id, io::StdioSpec stdio, std::string process) {
    const std::string operation = "add exec " + exec_id;
    if (execs_.contains(exec_id)) {
        throw Error(
            Code::already_exists,
            operation + " to container " + spec_.id + ": the id is in use: already exists"
        );
    }
    init_->state.check_alive(operation);
    auto added =
        std::make_shared<Process>(environment_.executor, spec_.id, exec_id, std::move(stdio));
    try {
        oci::Parsed<oci::Process> parsed = oci::parse_process(process);
        report_unsupported(*added, parsed.unsupported);
        added->to_execute = std::move(parsed.value);
    } catch (...) {
        rethrow_with_context(operation + " to container " + spec_.id);
    }
    execs_.emplace(exec_id, std::move(added));
    environment_.events.publish(ExecAdded{spec_.id, std::move(exec_id)});
}

Awaitable<pid_t> Task::start(std::string exec_id) {
    const ProcessHandle process = find(exec_id);
    if (process->is_init()) {
        process->state.begin_start();
        co_await start_init();
    } else {
        init_->state.check_alive("start exec " + exec_id);
        process->state.begin_start();
        co_await start_exec(process);
    }
    co_return process->pid;
}

Awaitable<> Task::start_init() {
    std::exception_ptr failure;
    try {
        co_await start_in_guest();
        co_await run_poststart_hooks();
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

// An init that has exited has no start to report any more, whatever the guest still says of it.
Awaitable<> Task::start_in_guest() {
    const AgentHandle agent = co_await environment_.agent();
    co_await environment_.sync_network(guest_spec_.resolv_conf);
    co_await first_of(
        call_start(
            agent,
            spec_.id,
            deadline_in(
                environment_.timeouts.start +
                oci::time_limit(guest_spec_.spec.hooks.start_container)
            )
        ),
        init_->state.wait_stopped()
    );
    if (init_->state.exit()) {
        throw Error(
            Code::failed_precondition,
            "start container " + spec_.id + ": it exited before the guest reported its start"
        );
    }
}

// A container whose hook fails is stopped, and its start fails.
Awaitable<> Task::run_poststart_hooks() {
    std::exception_ptr failure;
    try {
        co_await hooks::run("poststart", guest_spec_.hooks.poststart, hook_state("running"));
    } catch (...) {
        failure = with_context(std::current_exception(), "start container " + spec_.id);
    }
    if (failure) {
        co_await kill_for_good(init_, true);
        std::rethrow_exception(failure);
    }
}

Awaitable<> Task::start_exec(ProcessHandle process) {
    std::exception_ptr failure;
    try {
        co_await exec_in_guest(process);
        if (process->state.exit()) {
            throw Error(
                Code::failed_precondition, "start " + process->name() + ": the container has ended"
            );
        }
        coroutines_.spawn("watch " + process->name(), watch_exec(process));
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        process->state.stop({start_failed_status, WallClock::now()});
        process->end_stand_in();
        co_await end_in_guest(process);
        co_await stop_io(process, std::chrono::milliseconds(0));
        std::rethrow_exception(failure);
    }
    // Nothing of the watcher runs before this coroutine waits again.
    environment_.events.publish(ExecStarted{spec_.id, process->exec_id, process->pid});
    process->state.finish_start();
}

Awaitable<> Task::exec_in_guest(ProcessHandle process) {
    const oci::Process spec = std::exchange(process->to_execute, std::nullopt).value();
    co_await open_io(process);
    start_stand_in(process, spec);
    const AgentHandle agent = co_await environment_.agent();
    agent::v2::ExecRequest request;
    request.set_container_id(spec_.id);
    request.set_exec_id(process->exec_id);
    request.set_process(oci::write_process(spec));
    *request.mutable_stdio() = co_await open_stdio(process, agent);
    process->in_guest = agent->new_process();
    request.set_process_number(process->in_guest->number);
    request.set_events_seen(agent->events_seen());
    const Deadline deadline = deadline_in(environment_.timeouts.start);
    try {
        const auto response =
            co_await agent->call(&agent::v2::AgentClient::exec, std::move(request), deadline);
        report_unsupported(
            *process, {response.unsupported().begin(), response.unsupported().end()}
        );
    } catch (const Error& error) {
        if (error.code() != Code::unavailable && error.code() != Code::deadline_exceeded) {
            process->in_guest.reset(); // the guest has answered, and has nothing of it
        }
        throw;
    }
}

// After a start whose outcome is not known, or not wanted any more. The guest forgets an exec that
// has ended and whose streams are closed.
Awaitable<> Task::end_in_guest(ProcessHandle process) {
    if (process->in_guest) {
        co_await signal_in_guest(process, SIGKILL, false);
    }
}

Awaitable<> Task::open_io(ProcessHandle process) {
    process->io = co_await io::ProcessIo::open(
        environment_.executor, logger_, process->stdio, environment_.containerd_namespace, spec_.id
    );
}

void Task::start_stand_in(const ProcessHandle& process, const oci::Process& shown) {
    StandInSpec spec;
    spec.program = environment_.stand_in_program;
    spec.network_namespace = network_namespace_;
    spec.mount_namespace = view_.get();
    spec.arguments = shown.args;
    spec.environment = shown.env;
    spec.working_directory = shown.cwd;
    const oci::Linux& container = guest_spec_.spec.linux_part;
    const auto outside = [](const std::vector<oci::IdMapping>& mappings, std::uint32_t id) {
        return oci::to_host_id(mappings, id).value_or(id);
    };
    spec.user = {
        outside(container.uid_mappings, shown.user.uid),
        outside(container.gid_mappings, shown.user.gid),
        {}
    };
    for (const std::uint32_t gid : shown.user.additional_gids) {
        spec.user.groups.push_back(outside(container.gid_mappings, gid));
    }
    process->stand_in = std::make_unique<StandIn>(environment_.executor, spec);
    process->pid = process->stand_in->pid();
    coroutines_.spawn(
        "watch the stand-in of " + process->name(), watch_stand_in(process, process->stand_in)
    );
}

Awaitable<agent::v2::Stdio> Task::open_stdio(const ProcessHandle& process, AgentHandle agent) {
    agent::v2::Stdio stdio;
    stdio.set_terminal(process->stdio.terminal);
    std::optional<io::GuestStream> in;
    std::optional<io::GuestStream> out;
    std::optional<io::GuestStream> err;
    const Deadline deadline = deadline_in(environment_.timeouts.create);
    const auto open = [&](std::uint64_t id, std::optional<io::GuestStream>& stream) -> Awaitable<> {
        stream.emplace(
            co_await agent->open_stream(id, deadline),
            [agent, id](std::uint64_t received) { return agent->resume_stream(id, received); }
        );
    };
    // Beside each other: each is a round trip or two to the guest.
    std::vector<Awaitable<>> streams;
    if (process->io->has_stdin()) {
        stdio.set_stdin_stream(agent->new_stream_id());
        streams.push_back(open(stdio.stdin_stream(), in));
    }
    if (process->io->has_stdout()) {
        stdio.set_stdout_stream(agent->new_stream_id());
        streams.push_back(open(stdio.stdout_stream(), out));
    }
    if (process->io->has_stderr()) {
        stdio.set_stderr_stream(agent->new_stream_id());
        streams.push_back(open(stdio.stderr_stream(), err));
    }
    co_await all_of(std::move(streams));
    process->io->attach(std::move(in), std::move(out), std::move(err));
    co_return stdio;
}

void Task::report_unsupported(const Process& process, const std::vector<std::string>& paths) const {
    if (paths.empty()) {
        return;
    }
    logger_.warn(
        "Unsupported parts of the OCI spec",
        {{"process", process.name()}, {"parts", joined(paths, ",")}}
    );
}

} // namespace cppvm::sandbox
