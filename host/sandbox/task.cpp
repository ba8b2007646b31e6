#include "host/sandbox/task.hpp"

#include "common/async/all_of.hpp"
#include "common/async/timeout.hpp"
#include "common/async/with_undo.hpp"
#include "common/base/error.hpp"
#include "common/base/plain_message.hpp"
#include "common/oci/spec_json.hpp"
#include "common/os/file.hpp"
#include "common/os/namespace_type.hpp"
#include "common/wire/ports.hpp"
#include "host/sockets/offered_sockets.hpp"

#include <sys/sysmacros.h>
#include <utility>

namespace cppvm::sandbox {

namespace {

// A volume whose server does not answer fails the create after this; nothing else waits for it.
constexpr std::chrono::seconds storage_timeout{20};
constexpr std::chrono::seconds detach_timeout{5};
// What an exec's end has left on its way; as runc's shim. What comes even later is waited for as
// long as it comes (io::OutputPump::last_call).
constexpr std::chrono::milliseconds drain_before_delete{2000};

} // namespace

Task::Task(TaskEnvironment environment, TaskSpec spec)
    : environment_(std::move(environment)), spec_(std::move(spec)),
      logger_(environment_.logger.with({{"container", spec_.id}})),
      init_(std::make_shared<Process>(environment_.executor, spec_.id, "", spec_.stdio)),
      abandoned_(environment_.executor), coroutines_(environment_.executor, logger_) {}

Task::~Task() = default;

Awaitable<pid_t> Task::create() {
    co_await with_undo(prepare(), [this]() -> Awaitable<> {
        co_await coroutines_.stop();
        co_await run_undo();
    });
    co_return init_->pid;
}

// The guest boots meanwhile: everything that does not need it comes before the wait for the agent.
Awaitable<> Task::prepare() {
    guest_spec_ = pod::load_guest_spec(
        spec_.bundle,
        spec_.rootfs,
        {environment_.find_container,
         environment_.pod_stand_in,
         namespace_type_at,
         [this](const std::filesystem::path& source) {
             return sockets::find_offered(environment_.opened_sockets, source);
         },
         [this](dev_t number) { return storage::vfio_name(environment_.host, number); },
         environment_.files}
    );
    const storage::SharedNames names = co_await prepare_storage();
    undo_.add(UndoStep::withdraw_sockets);
    offer_sockets();
    storage::set_sources(guest_spec_.spec, guest_spec_.storage, names);
    if (names.watched_root.empty()) {
        root_watch_.reset();
    } else {
        coroutines_.spawn("follow the root file system", follow_root(names.watched_root));
    }

    undo_.add(UndoStep::close_stdio);
    co_await open_io(init_);
    undo_.add(UndoStep::stop_stand_ins);
    co_await open_view(names);
    network_namespace_ = co_await environment_.network();
    check_network_path();
    start_stand_in(init_, guest_spec_.spec.process);
    undo_.add(UndoStep::run_poststop_hooks);
    co_await run_create_hooks();

    co_await create_in_guest();

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
    coroutines_.spawn("watch " + init_->name(), watch_init());
}

oci::ContainerState Task::hook_state(std::string status) const {
    return {
        guest_spec_.spec.oci_version,
        spec_.id,
        std::move(status),
        init_->pid,
        spec_.bundle,
        guest_spec_.annotations
    };
}

// They find the pod's network namespace by the stand-in's pid, as they would by the init's.
Awaitable<> Task::run_create_hooks() {
    if (!guest_spec_.hooks.poststop.empty()) {
        hooks::set_poststop_due(spec_.bundle);
    }
    const oci::ContainerState state = hook_state("creating");
    co_await hooks::run("prestart", guest_spec_.hooks.prestart, state);
    co_await hooks::run("createRuntime", guest_spec_.hooks.create_runtime, state);
}

Awaitable<> Task::run_poststop_hooks() {
    oci::ContainerState state = hook_state("stopped");
    state.pid = 0;
    for (const std::string& error :
         co_await hooks::run_all("poststop", guest_spec_.hooks.poststop, std::move(state))) {
        logger_.warn("A hook failed", {{"error", error}});
    }
    hooks::clear_poststop_due(spec_.bundle);
}

Awaitable<> Task::attach_devices(agent::v2::CreateContainerRequest& request) {
    const storage::StoragePlan& plan = guest_spec_.storage;
    if (!plan.root_disk && plan.disks.empty() && plan.vfio_groups.empty()) {
        co_return;
    }
    undo_.add(UndoStep::detach_devices);
    if (plan.root_disk) {
        const std::string serial =
            co_await environment_.attach_disk(spec_.id, plan.root_disk->disk);
        auto* const root = request.mutable_root_disk();
        root->set_serial(serial);
        root->set_type(plan.root_disk->type);
        for (const std::string& option : plan.root_disk->options) {
            root->add_options(option);
        }
        for (const std::string& layer : plan.root_disk->layers) {
            root->add_layers(layer);
        }
        guest_spec_.spec.root.path = std::string(wire::guest_disks_path) + "/" + serial;
    }
    for (const storage::DiskSpec& disk : plan.disks) {
        const std::string serial = co_await environment_.attach_disk(spec_.id, disk);
        auto* const entry = request.add_disks();
        entry->set_serial(serial);
        entry->set_host_major(major(disk.device));
        entry->set_host_minor(minor(disk.device));
    }
    for (const storage::VfioGroup& group : plan.vfio_groups) {
        for (std::string& port : co_await environment_.attach_group(spec_.id, group.number)) {
            request.add_pci_ports(std::move(port));
        }
    }
}

Awaitable<> Task::create_in_guest() {
    const AgentHandle agent = co_await environment_.agent();
    agent::v2::CreateContainerRequest request;
    request.set_container_id(spec_.id);
    co_await attach_devices(request);
    request.set_spec(oci::write_spec(guest_spec_.spec));
    *request.mutable_stdio() = co_await open_stdio(init_, agent);
    init_->in_guest = agent->new_process();
    request.set_process_number(init_->in_guest->number);
    request.set_events_seen(agent->events_seen());
    if (pod::has_guest_hooks(guest_spec_.spec)) {
        request.set_bundle(spec_.bundle.native());
    }
    add_sockets(request);
    for (const std::string& path : guest_spec_.storage.submounts) {
        request.add_submounts(path);
    }
    const SeccompProgram& filter = guest_spec_.seccomp;
    request.mutable_seccomp()->set_instructions(to_message<sock_filter>(filter.instructions));
    request.mutable_seccomp()->set_flags(filter.flags);
    undo_.add(UndoStep::delete_in_guest);
    const auto response = co_await agent->call(
        &agent::v2::AgentClient::create_container,
        std::move(request),
        deadline_in(
            environment_.timeouts.create + oci::time_limit(guest_spec_.spec.hooks.create_container)
        )
    );
    auto unsupported = guest_spec_.unsupported;
    if (exceeds_machine(guest_spec_.spec.linux_part.resources)) {
        unsupported.emplace_back("linux.resources.memory.limit, beyond its machine's memory");
    }
    unsupported.insert(
        unsupported.end(), response.unsupported().begin(), response.unsupported().end()
    );
    report_unsupported(*init_, unsupported);
}

// CRI names the pod's namespace in each container by the pid of the first one's stand-in.
void Task::check_network_path() {
    const auto& path = guest_spec_.network_path;
    if (!path.empty() && path != environment_.network_path &&
        !is_same_file(path, network_namespace_)) {
        guest_spec_.unsupported.emplace_back("linux.namespaces[network].path");
    }
}

void Task::offer_sockets() {
    storage::StoragePlan& plan = guest_spec_.storage;
    for (std::size_t i = 0; i < plan.sockets.size(); ++i) {
        offered_sockets_.push_back(environment_.sockets.offer(plan.sockets[i].path));
        storage::set_socket_source(plan, i, offered_sockets_.back());
    }
}

void Task::add_sockets(agent::v2::CreateContainerRequest& request) const {
    for (std::size_t i = 0; i < offered_sockets_.size(); ++i) {
        const storage::HostSocket& socket = guest_spec_.storage.sockets[i];
        auto* const entry = request.add_sockets();
        entry->set_number(offered_sockets_[i]);
        entry->set_uid(socket.uid);
        entry->set_gid(socket.gid);
        entry->set_mode(socket.mode);
    }
}

Awaitable<> Task::withdraw_sockets() {
    for (const std::uint64_t number : std::exchange(offered_sockets_, {})) {
        co_await environment_.sockets.withdraw(number);
    }
}

Awaitable<storage::SharedNames> Task::prepare_storage() {
    share_ = co_await environment_.share();
    undo_.add(UndoStep::detach_storage);
    storage::ContainerStorage storage = {
        spec_.id,
        guest_spec_.storage.rootfs_mounts,
        guest_spec_.storage.rootfs_source,
        guest_spec_.storage.volumes
    };
    // What containerd has mounted is nobody else's.
    root_watch_ = storage.rootfs_mounts.empty() ? make_root_watch() : nullptr;
    storage.root_watch = root_watch_ ? root_watch_->fd() : -1;
    co_return co_await share_->add_container(std::move(storage), deadline_in(storage_timeout));
}

std::unique_ptr<storage::RootWatch> Task::make_root_watch() const {
    try {
        return std::make_unique<storage::RootWatch>(environment_.executor);
    } catch (const Error& error) {
        logger_.warn(
            "The container will not see what the host writes to files that it knows",
            {{"error", error.message()}}
        );
        return nullptr;
    }
}

// The guest keeps what it knows of its root for a day. Nobody else is meant to write there, yet
// `docker cp` does.
Awaitable<> Task::follow_root(std::filesystem::path watched) {
    const std::string root = guest_spec_.spec.root.path + "/";
    for (;;) {
        try {
            const std::vector<std::string> names = co_await root_watch_->next(watched);
            agent::v2::LookAgainRequest request;
            for (const std::string& name : names) {
                request.add_paths(root + name);
            }
            const AgentHandle agent = co_await environment_.agent();
            co_await agent->call(
                &agent::v2::AgentClient::look_again,
                std::move(request),
                deadline_in(environment_.timeouts.look_again),
                agent::Repeat::yes
            );
        } catch (const Error& error) {
            logger_.warn(
                "The container may not see what the host has written to its files",
                {{"error", error.message()}}
            );
        }
    }
}

Awaitable<> Task::open_view(storage::SharedNames names) {
    storage::ContainerView view{.rootfs = names.rootfs, .volumes = {}};
    // Without the layers of a root disk, which come after those that are mounts.
    for (std::size_t i = 0; i < guest_spec_.storage.volume_mounts.size(); ++i) {
        const storage::VolumeSpec& volume = guest_spec_.storage.volumes[i];
        view.volumes.push_back({names.volumes[i], volume.destination, volume.read_only});
    }
    view_ = co_await share_->open_view(spec_.id, std::move(view), deadline_in(storage_timeout));
}

// Each step is tried even if another fails.
Awaitable<> Task::run_undo() {
    while (const auto step = undo_.take()) {
        Status status;
        try {
            co_await undo(*step);
        } catch (...) {
            status = to_status(std::current_exception());
        }
        if (status.code != Code::ok) {
            logger_.warn(
                "Undo step failed",
                {{"step", std::string(to_text(*step))}, {"error", status.message}}
            );
        }
    }
}

Awaitable<> Task::undo(UndoStep step) {
    switch (step) {
    case UndoStep::stop_stand_ins:
        init_->end_stand_in();
        view_.reset();
        break;
    case UndoStep::close_stdio:
        co_await stop_io(init_, std::chrono::milliseconds(0));
        break;
    case UndoStep::withdraw_sockets:
        co_await withdraw_sockets();
        break;
    case UndoStep::detach_storage:
        co_await share_->remove_container(spec_.id, deadline_in(detach_timeout));
        break;
    case UndoStep::delete_in_guest:
        co_await delete_in_guest(init_);
        break;
    case UndoStep::detach_devices:
        co_await environment_.detach_devices(spec_.id);
        break;
    case UndoStep::run_poststop_hooks:
        co_await run_poststop_hooks();
        break;
    }
}

Awaitable<ProcessStatus> Task::remove(std::string exec_id) {
    const ProcessHandle process = find(exec_id);
    process->state.begin_delete();
    if (!process->is_init()) {
        co_return co_await remove_exec(process);
    }
    if (!process->state.exit()) {
        // Created but never started: its init in the guest waits before exec.
        co_await kill_for_good(process, false);
        co_await process->state.wait();
    }
    co_await stop_io(process, drain_before_delete);
    co_await abandon();
    environment_.events.publish(TaskDeleted{spec_.id, process->pid, process->state.exit().value()});
    co_return process->status();
}

Awaitable<ProcessStatus> Task::remove_exec(ProcessHandle process) {
    execs_.erase(process->exec_id);
    co_await stop_io(process, drain_before_delete);
    process->deleted.set(); // the watcher handles the guest's part; nobody need wait for that
    co_return process->status();
}

Awaitable<> Task::abandon() {
    co_await abandoned_.run(do_abandon());
}

Awaitable<> Task::do_abandon() {
    co_await coroutines_.stop();
    for (const auto& [id, process] : std::exchange(execs_, {})) {
        co_await stop_io(process, std::chrono::milliseconds(0));
        process->state.stop({killed_status, WallClock::now()});
        process->end_stand_in();
    }
    co_await run_undo();
    init_->state.stop({killed_status, WallClock::now()});
}

// The guest may be gone or silent: then there is nothing left in it that could be deleted.
Awaitable<> Task::delete_in_guest(ProcessHandle process) {
    const Timeouts& timeouts = environment_.timeouts;
    const bool unmounts = process->is_init() && guest_spec_.storage.root_disk;
    const auto timeout =
        timeouts.delete_in_guest + (unmounts ? timeouts.unmount : Timeouts::Duration());
    try {
        const AgentHandle agent = co_await environment_.agent();
        co_await agent->call(
            &agent::v2::AgentClient::delete_process,
            process->reference(),
            deadline_in(timeout),
            agent::Repeat::yes
        );
    } catch (...) {
        const Status status = to_status(std::current_exception());
        // failed_precondition: the guest has nothing of that name; cancelled: there is no guest.
        if (status.code != Code::unavailable && status.code != Code::failed_precondition &&
            status.code != Code::cancelled) {
            logger_.warn(
                "Not deleted in the guest",
                {{"process", process->name()}, {"error", status.message}}
            );
        }
    }
}

} // namespace cppvm::sandbox
