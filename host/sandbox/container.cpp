#include "host/sandbox/container.hpp"

#include "common/async/all_of.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"

#include <csignal>
#include <fcntl.h>
#include <utility>

namespace cppvm::sandbox {

namespace {

// The agent prepares mounts over virtiofs; under emulation with several machines that takes
// seconds at worst.
constexpr std::chrono::seconds create_timeout{60};
constexpr std::chrono::seconds delete_timeout{3};
// containerd's client reads stdio to its end before it sends Delete, so usually nothing is left.
constexpr std::chrono::milliseconds drain_before_delete{2000};

} // namespace

Container::Container(ContainerEnvironment environment, ContainerSpec spec)
    : environment_(std::move(environment)), spec_(std::move(spec)),
      logger_(environment_.logger.with({{"container", spec_.id}})),
      init_(std::make_shared<Process>(environment_.executor, spec_.id, "", spec_.stdio)),
      undo_(logger_), tasks_(environment_.executor, logger_) {}

Container::~Container() = default;

Container::ProcessHandle Container::find(const std::string& exec_id) const {
    if (exec_id.empty()) {
        return init_;
    }
    const auto found = execs_.find(exec_id);
    if (found == execs_.end()) {
        throw Error(
            Code::not_found, "exec " + exec_id + " of container " + spec_.id + ": not found"
        );
    }
    return found->second;
}

Awaitable<pid_t> Container::create() {
    std::exception_ptr failure;
    try {
        co_await prepare();
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        co_await tasks_.stop();
        co_await undo_.run();
        std::rethrow_exception(failure);
    }
    co_return init_->pid;
}

// The guest boots meanwhile: everything that does not need it comes before the wait for the agent.
Awaitable<> Container::prepare() {
    guest_spec_ = load_guest_spec(spec_.bundle, spec_.id);
    co_await prepare_storage(guest_spec_);

    undo_.add("close stdio", [this] { return stop_io(init_, std::chrono::milliseconds(0)); });
    co_await open_io(init_);
    start_stand_in(init_);

    agent::AgentConnection* agent = co_await environment_.agent();
    agent::v1::CreateContainerRequest request;
    request.set_container_id(spec_.id);
    request.set_spec(guest_spec_.text);
    *request.mutable_stdio() = co_await open_stdio(init_, *agent);
    undo_.add("delete in guest", [this] { return delete_in_guest(init_); });
    const auto response = co_await agent->rpc().create_container(
        request, {.deadline = deadline_in(create_timeout), .metadata = {}}
    );
    auto not_honoured = guest_spec_.not_honoured;
    not_honoured.insert(
        not_honoured.end(), response.not_honoured().begin(), response.not_honoured().end()
    );
    report_not_honoured(*init_, not_honoured);

    write_task_record(spec_.bundle, {init_->pid, std::nullopt});
    environment_.events.publish(TaskCreated{
        spec_.id,
        spec_.bundle,
        spec_.rootfs,
        spec_.stdio.stdin_uri,
        spec_.stdio.stdout_uri,
        spec_.stdio.stderr_uri,
        spec_.stdio.terminal,
        init_->pid
    });
    tasks_.spawn("watch " + init_->name(), watch_init());
}

Awaitable<> Container::prepare_storage(const GuestSpec& guest_spec) {
    storage::Share* share = co_await environment_.share();
    undo_.add("unmount", [this, share] {
        return environment_.blocking.run([share, id = spec_.id] { share->remove_container(id); });
    });
    const storage::ContainerStorage storage = {
        spec_.id, spec_.rootfs, guest_spec.rootfs_source, guest_spec.volumes
    };
    co_await environment_.blocking.run([share, storage] { share->add_container(storage); });
}

Awaitable<> Container::open_io(ProcessHandle process) {
    process->io = co_await io::ProcessIo::open(
        environment_.executor, logger_, process->stdio, environment_.containerd_namespace, spec_.id
    );
}

void Container::start_stand_in(const ProcessHandle& process) {
    network::NamespaceSpec network = guest_spec_.network;
    if (process->is_init()) {
        undo_.add("stop stand-ins", [this]() -> Awaitable<> {
            init_->stand_in.reset();
            other_stand_ins_.clear();
            co_return;
        });
    } else if (init_->stand_in) {
        network = network::NamespaceSpec::of_process(init_->pid);
    }
    process->stand_in = make_stand_in(network);
    process->pid = process->stand_in->pid();
}

std::unique_ptr<StandIn> Container::make_stand_in(const network::NamespaceSpec& network) const {
    using Kind = network::NamespaceSpec::Kind;
    UniqueFd existing;
    if (network.kind == Kind::path) {
        existing = open_file(network.path, O_RDONLY);
    }
    return std::make_unique<StandIn>(
        environment_.executor,
        environment_.stand_in_program,
        StandIn::Network{existing.get(), network.kind == Kind::fresh}
    );
}

Awaitable<agent::v1::Stdio>
Container::open_stdio(const ProcessHandle& process, agent::AgentConnection& agent) {
    agent::v1::Stdio stdio;
    stdio.set_terminal(process->stdio.terminal);
    std::optional<StreamSocket> in;
    std::optional<StreamSocket> out;
    std::optional<StreamSocket> err;
    const Deadline deadline = deadline_in(create_timeout);
    const auto open = [&](std::uint64_t token, std::optional<StreamSocket>& socket) -> Awaitable<> {
        socket = co_await agent.open_stream(token, deadline);
    };
    // Beside each other: each is a round trip or two to the guest.
    std::vector<Awaitable<>> streams;
    if (process->io->has_stdin()) {
        stdio.set_stdin_token(agent.next_token());
        streams.push_back(open(stdio.stdin_token(), in));
    }
    if (process->io->has_stdout()) {
        stdio.set_stdout_token(agent.next_token());
        streams.push_back(open(stdio.stdout_token(), out));
    }
    if (process->io->has_stderr()) {
        stdio.set_stderr_token(agent.next_token());
        streams.push_back(open(stdio.stderr_token(), err));
    }
    co_await all_of(std::move(streams));
    process->io->attach(std::move(in), std::move(out), std::move(err));
    co_return stdio;
}

void Container::report_not_honoured(const Process& process, const std::vector<std::string>& paths)
    const {
    if (paths.empty()) {
        return;
    }
    std::string list;
    for (const auto& path : paths) {
        list.append(list.empty() ? "" : ",").append(path);
    }
    logger_.warn(
        "Parts of the OCI spec are not honoured", {{"process", process.name()}, {"parts", list}}
    );
}

Awaitable<ProcessStatus> Container::remove(std::string exec_id) {
    const ProcessHandle process = find(exec_id);
    if (process->state.is<ProcessState::Running>() || process->state.is<ProcessState::Starting>()) {
        throw Error(
            Code::failed_precondition, "delete " + process->name() + ": it is still running"
        );
    }
    if (!process->is_init()) {
        execs_.erase(exec_id);
        co_await stop_io(process, drain_before_delete);
        if (process->state.exit() && process->pid != 0 && !process->forgotten) {
            // Nobody need wait for it: what is asked of the guest later comes later to it.
            tasks_.spawn("delete " + process->name(), delete_in_guest(process));
        }
        co_return process->status();
    }
    if (removing_) {
        throw Error(
            Code::failed_precondition, "delete " + process->name() + ": it is being deleted already"
        );
    }
    removing_ = true;
    if (!process->state.exit()) {
        co_await kill_created();
    }
    co_await stop_io(process, drain_before_delete);
    co_await abandon();
    environment_.events.publish(TaskDeleted{spec_.id, process->pid, process->state.exit().value()});
    co_return process->status();
}

Awaitable<> Container::abandon() {
    co_await tasks_.stop();
    for (const auto& [id, process] : std::exchange(execs_, {})) {
        co_await stop_io(process, std::chrono::milliseconds(0));
        process->stand_in.reset();
        process->state.stop({137, WallClock::now()});
    }
    co_await undo_.run();
    init_->state.stop({137, WallClock::now()});
}

// A container that was created but never started: its init in the guest waits before exec.
Awaitable<> Container::kill_created() {
    co_await kill("", SIGKILL, false);
    try {
        co_await with_timeout(
            init_->state.wait(),
            deadline_in(delete_timeout),
            "wait for the exit of " + init_->name()
        );
        co_return;
    } catch (const Error& error) {
        logger_.warn("Created container does not end", {{"error", error.message()}});
    }
    co_await finish(init_, {137, WallClock::now()});
}

// The guest may be gone or silent: then there is nothing left in it that could be deleted.
Awaitable<> Container::delete_in_guest(ProcessHandle process) {
    try {
        agent::AgentConnection* agent = co_await environment_.agent();
        co_await agent->rpc().delete_process(
            process->reference(), {.deadline = deadline_in(delete_timeout), .metadata = {}}
        );
    } catch (...) {
        const Status status = to_status(std::current_exception());
        if (status.code != Code::unavailable && status.code != Code::not_found) {
            logger_.warn("Delete in guest failed", {{"error", status.message}});
        }
    }
}

Awaitable<> Container::stop_io(ProcessHandle process, std::chrono::milliseconds grace) {
    if (!process->io) {
        co_return;
    }
    if (grace.count() > 0 && process->state.exit()) {
        co_await process->io->drained(deadline_in(grace));
    }
    if (process->io) {
        co_await process->io->stop();
    }
}

} // namespace cppvm::sandbox
