#include "guest-agent/container/container.hpp"

#include "common/async/timeout.hpp"
#include "common/async/with_undo.hpp"
#include "common/base/error.hpp"
#include "common/oci/container_state.hpp"
#include "common/os/file.hpp"
#include "common/wire/ports.hpp"
#include "guest-agent/cgroup/device_rules.hpp"
#include "guest-agent/cgroup/memory_watch.hpp"
#include "guest-agent/container/socket_mounts.hpp"
#include "guest-agent/disks/device_numbers.hpp"
#include "guest-agent/setup/capabilities.hpp"
#include "guest-agent/setup/namespaces.hpp"

#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <sched.h>
#include <utility>

namespace cppvm::guest {

namespace {

// Generous: the machine may be emulated, and the share's server busy.
constexpr auto set_up_limit = std::chrono::seconds(60);
// The host gives a device before it asks for the container.
constexpr auto device_limit = std::chrono::seconds(15);
// What was written last goes to the disk.
constexpr auto unmount_limit = std::chrono::seconds(7);
// A process that does not die of SIGKILL hangs in the kernel, in I/O as a rule.
constexpr auto kill_limit = std::chrono::seconds(10);
// A process that is in the middle of a system call stops after it.
constexpr auto freeze_limit = std::chrono::seconds(10);
constexpr auto kill_report_interval = std::chrono::seconds(1);

/// What somebody may want to watch, by paths below the share; empty if there is no directory among
/// it: nearly every container has the files by which it is told of its network, and for them alone
/// no container is to have a seccomp filter that runc would not give it.
std::vector<std::string> watched_volumes(const oci::Spec& spec, const std::string& share) {
    const std::string volumes = share + "/" + wire::volumes_directory + "/";
    std::vector<std::string> watched;
    bool has_directory = false;
    for (const oci::Mount& mount : spec.mounts) {
        if (mount.source.starts_with(volumes)) {
            watched.push_back(mount.source.substr(share.size() + 1));
            // A file is in a directory of its own.
            const bool is_file = mount.source.find('/', volumes.size()) != std::string::npos;
            has_directory = has_directory || (!is_file && mount.destination != "/dev/shm");
        }
    }
    return has_directory ? watched : std::vector<std::string>();
}

} // namespace

Container::Container(const ContainerContext& context, ContainerSpec spec)
    : context_(context), id_(std::move(spec.id)), spec_(std::move(spec.oci)),
      disks_(std::move(spec.disks)), pci_ports_(std::move(spec.pci_ports)),
      seccomp_(std::move(spec.seccomp)), socket_specs_(std::move(spec.sockets)),
      bundle_(std::move(spec.bundle)), joined_(std::move(spec.joined)),
      pod_init_(std::move(spec.pod_init)), namespaces_(namespace_flags(spec_.linux_part)),
      volumes_(watched_volumes(spec_, context_.share)),
      owns_pid_namespace_(((namespaces_ & ~flags_of(joined_)) & CLONE_NEWPID) != 0),
      init_(std::make_shared<Process>(context_.executor, context_.logger)),
      execs_ended_(context_.executor), state_(id_), watches_(context_.executor, context_.logger),
      tasks_(context_.executor, context_.logger) {}

Awaitable<> Container::create(StdioRequest stdio) {
    co_await with_undo(set_up(stdio), [this] {
        state_.give_up();
        return undo();
    });
    state_.finish_create();
    if (init_->has_ended()) { // killed meanwhile
        on_init_reaped();
    }
}

ProcessSpec
Container::make_process_spec(const oci::Process& process, const StdioRequest& request) const {
    std::vector<std::string> unknown; // reported when the request was reviewed
    ProcessSpec spec{
        .container_id = id_,
        .process = process,
        .seccomp = seccomp_,
        .personality = spec_.linux_part.personality,
        .capabilities = to_sets(process.capabilities, unknown)
    };
    spec.has_volumes = !volumes_.empty();
    spec.console_width = request.console_width;
    spec.console_height = request.console_height;
    if (spec.console_width == 0 && spec.console_height == 0 && process.console_size) {
        spec.console_width = process.console_size->width;
        spec.console_height = process.console_size->height;
    }
    return spec;
}

std::function<void(UniqueFd)> Container::watch_listener() const {
    return [&watches = context_.watches, volumes = volumes_](UniqueFd listener) {
        watches.listen(std::move(listener), volumes);
    };
}

Awaitable<> Container::set_up_disks() {
    std::vector<DiskNumbers> numbers;
    for (const auto& [serial, host_device] : disks_.devices) {
        const Disk disk = co_await context_.find_disk(serial, deadline_in(device_limit));
        numbers.push_back({host_device, disk.device});
    }
    use_guest_numbers(spec_.linux_part, numbers);
    if (disks_.root) {
        const Disk disk =
            co_await context_.find_disk(disks_.root->serial, deadline_in(device_limit));
        root_disk_.emplace(
            *disks_.root,
            disk,
            std::filesystem::path(context_.share) / wire::disks_directory / disks_.root->serial
        );
    }
}

Awaitable<> Container::wait_for_pci_devices() {
    for (const std::string& port : pci_ports_) {
        co_await context_.find_pci_device(port, deadline_in(device_limit));
    }
}

Awaitable<> Container::set_up(StdioRequest request) {
    co_await set_up_disks();
    co_await wait_for_pci_devices();
    const oci::Resources& resources = spec_.linux_part.resources;
    const std::vector<CgroupWrite> limits = cgroup_writes(resources);
    DeviceProgram device_rules = load_device_rules(resources.devices);
    StdioSetup stdio(context_.stdio, request, spec_.process.terminal);
    for (const HostSocketSpec& socket : socket_specs_) {
        sockets_.push_back(context_.sockets.listen(socket));
    }
    cgroup_ = std::make_unique<CgroupDir>(context_.executor, context_.cgroup_root / id_);
    unsupported_ = cgroup_->apply(limits);
    if (const auto owner = cgroup_owner(spec_)) {
        cgroup_->give_to(*owner);
    }
    replace_device_rules(cgroup_->fd(), device_program_, std::move(device_rules));
    watch_memory(resources);
    watches_.spawn("watch kills for memory", watch_kills());
    InitLaunch launch{
        .spec = spec_,
        .process = make_process_spec(spec_.process, request),
        .share = context_.share,
        .bundle = bundle_,
        .namespaces = namespaces_ & ~flags_of(joined_),
        .joined = joined_,
        .cgroup = cgroup_->fd(),
    };
    stdio.describe(launch.process);
    init_->adopt(
        launch_init(launch),
        context_.reaper,
        [weak = weak_from_this()] {
            if (const auto self = weak.lock()) {
                self->on_init_reaped();
            }
        },
        watch_listener()
    );
    joined_.clear();
    try {
        co_await init_->prepare(
            stdio, deadline_in(set_up_limit + oci::time_limit(spec_.hooks.create_container))
        );
    } catch (const Error&) {
        if (was_killed_for_memory()) {
            throw Error(
                Code::failed_precondition,
                "linux.resources.memory.limit: too small to set the container up"
            );
        }
        throw;
    }
    keep_socket_mounts();
}

void Container::keep_socket_mounts() {
    std::vector<oci::Mount> mounts = mounts_of_sockets(spec_);
    if (mounts.empty()) {
        return;
    }
    UniqueFd init = duplicate(init_->pidfd(), "container " + id_);
    SocketMounts kept(
        context_.executor, context_.logger, std::move(mounts), std::move(init), init_->pid()
    );
    watches_.spawn("keep the mounts of sockets", [](SocketMounts mine) -> Awaitable<> {
        co_await mine.keep();
    }(std::move(kept)));
}

void Container::watch_memory(const oci::Resources& resources) {
    const bool is_limited =
        resources.memory.limit.value_or(0) > 0 || resources.unified.contains("memory.max");
    if (is_limited && !std::exchange(watches_memory_, true)) {
        watches_.spawn("watch memory", [](MemoryWatch watch) -> Awaitable<> {
            co_await watch.run();
        }(MemoryWatch(context_.executor, context_.cgroup_root / id_, context_.logger)));
    }
}

// Once in a while, so that a container that is killed all the time does not flood the host.
Awaitable<> Container::watch_kills() {
    try {
        memory_events_.emplace(context_.executor, context_.cgroup_root / id_ / "memory.events");
    } catch (const Error& error) {
        context_.logger.debug("Kills for memory are not known", {{"error", error.message()}});
        co_return;
    }
    asio::steady_timer pause(context_.executor);
    for (;;) {
        report_kills();
        co_await memory_events_->wait_change();
        report_kills();
        pause.expires_after(kill_report_interval);
        co_await pause.async_wait(asio::use_awaitable);
    }
}

bool Container::was_killed_for_memory() const noexcept {
    try {
        const auto file = context_.cgroup_root / id_ / "memory.events";
        return EventFile(context_.executor, file).value("oom_kill") > 0;
    } catch (const std::exception&) {
        return false; // the kernel has no limits of memory
    }
}

void Container::report_kills() {
    if (!memory_events_) {
        return;
    }
    try {
        const std::uint64_t kills = memory_events_->value("oom_kill");
        if (kills > reported_kills_) {
            reported_kills_ = kills;
            context_.on_out_of_memory(id_);
        }
    } catch (const Error& error) {
        context_.logger.debug("Kills for memory are not known", {{"error", error.message()}});
    }
}

Awaitable<> Container::freeze(bool frozen) {
    const auto self = shared_from_this();
    state_.check_running();
    co_await cgroup_->freeze(frozen, deadline_in(freeze_limit));
}

std::vector<std::string> Container::update(const oci::Resources& resources) {
    state_.check_updatable();
    const std::vector<CgroupWrite> limits = cgroup_writes(resources);
    // What may be wrong with them shows before anything changes.
    DeviceProgram device_rules = load_device_rules(resources.devices);
    if (resources.memory.check_before_update) {
        cgroup_->check_memory(resources.memory);
    }
    std::vector<std::string> unsupported = cgroup_->change(limits);
    replace_device_rules(cgroup_->fd(), device_program_, std::move(device_rules));
    watch_memory(resources);
    return unsupported;
}

UniqueFd Container::open_init() const {
    const int pidfd = init_->pidfd();
    if (pidfd < 0 || state_.is<ContainerState::Creating>()) {
        throw Error(Code::failed_precondition, "container " + id_ + " does not run");
    }
    return duplicate(pidfd, "container " + id_);
}

Awaitable<> Container::start() {
    state_.start();
    std::exception_ptr failure;
    try {
        co_await init_->start(
            deadline_in(set_up_limit + oci::time_limit(spec_.hooks.start_container))
        );
    } catch (const Error&) {
        failure = std::current_exception();
    }
    if (failure) {
        if (!init_->has_ended()) {
            init_->send_signal(SIGKILL); // no effect on one that is just ending
            co_await with_timeout(
                init_->wait_exit(), deadline_in(kill_limit), "wait for the container's init"
            );
        }
        std::rethrow_exception(failure);
    }
}

Awaitable<pid_t> Container::exec(std::string exec_id, oci::Process process, StdioRequest stdio) {
    const auto self = shared_from_this();
    state_.check_exec();
    if (cgroup_->is_frozen()) {
        throw Error(
            Code::failed_precondition, "exec " + exec_id + ": container " + id_ + " is paused"
        );
    }
    if (execs_.find(exec_id) != execs_.end()) {
        throw Error(Code::already_exists, "exec " + exec_id + ": already exists");
    }
    const auto exec = std::make_shared<Process>(context_.executor, context_.logger);
    execs_.emplace(exec_id, exec);
    co_await with_undo(start_exec(exec, std::move(process), stdio), [&]() -> Awaitable<> {
        co_await end_process(exec, deadline_in(kill_limit));
        execs_.erase(exec_id);
    });
    co_return exec->pid();
}

Awaitable<>
Container::start_exec(std::shared_ptr<Process> exec, oci::Process process, StdioRequest request) {
    StdioSetup stdio(context_.stdio, request, process.terminal);
    ProcessSpec spec = make_process_spec(process, request);
    stdio.describe(spec);
    exec->adopt(
        clone_exec(spec),
        context_.reaper,
        [exec, weak = weak_from_this()] {
            const auto self = weak.lock();
            if (self) {
                self->report_kills();
            }
            exec->publish_exit();
            if (self) {
                self->on_exec_reaped();
            }
        },
        watch_listener()
    );
    co_await exec->run(stdio, process.terminal, deadline_in(set_up_limit));
}

Launched Container::clone_exec(const ProcessSpec& process) {
    ExecLaunch launch{
        .process = process,
        .init_pidfd = init_->pidfd(),
        .namespaces = namespaces_,
        .linux_part = spec_.linux_part,
        .cgroup = cgroup_->fd(),
    };
    try {
        return launch_exec(launch);
    } catch (const Error& error) {
        if (error.cause().value() != EBUSY) {
            throw;
        }
    }
    const UniqueFd nested = cgroup_->open_cgroup_of(init_->pid());
    launch.cgroup = nested.get();
    return launch_exec(launch);
}

std::shared_ptr<Process> Container::find(const std::string& exec_id) const {
    if (exec_id.empty()) {
        return init_;
    }
    const auto found = execs_.find(exec_id);
    if (found == execs_.end()) {
        throw Error(
            Code::not_found, "process does not exist: exec " + exec_id + " of container " + id_
        );
    }
    return found->second;
}

bool Container::has_live_exec() const {
    return std::any_of(execs_.begin(), execs_.end(), [](const auto& entry) {
        return !entry.second->is_empty() && !entry.second->has_ended();
    });
}

void Container::on_init_reaped() {
    if (state_.is<ContainerState::Creating>()) {
        return; // `create` sees it
    }
    state_.end();
    if (owns_pid_namespace_ && !has_live_exec()) {
        // The kernel kills all others in it first, and lets init go only when they have been reaped
        // (pid_namespaces(7)).
        publish_exit();
        return;
    }
    try {
        cgroup_->kill();
        tasks_.spawn("end of container", finish_exit());
    } catch (const std::exception& error) {
        context_.logger.error(
            "Could not end the processes of a container", {{"error", error.what()}}
        );
        publish_exit();
    }
}

void Container::publish_exit() {
    report_kills(); // before the host hears of what they led to
    state_.exit();
    init_->publish_exit();
}

void Container::on_exec_reaped() {
    if (!has_live_exec()) {
        execs_ended_.set();
    }
}

Awaitable<> Container::finish_exit() {
    // The exits of execs are reported before that of init, but not waited for forever.
    execs_ended_.clear();
    try {
        if (has_live_exec()) {
            co_await with_timeout(
                execs_ended_.wait(), deadline_in(kill_limit), "wait for the container's execs"
            );
        }
    } catch (const Error& error) {
        context_.logger.warn(
            "Execs are still running after their container's end", {{"error", error.message()}}
        );
    }
    publish_exit();
}

void Container::signal_all(int number) {
    if (init_->has_ended()) {
        throw Error(Code::not_found, "container " + id_ + ": process already finished");
    }
    if (number == SIGKILL) {
        cgroup_->kill();
        return;
    }
    // Init included, from outside of its namespace. A process of the list may be gone by now; for
    // its pid to be another's the kernel would have to go round through all pids in this moment.
    for (const pid_t pid : cgroup_->processes()) {
        if (::kill(pid, number) != 0 && errno != ESRCH) {
            throw_errno("send signal to", "process " + std::to_string(pid));
        }
    }
}

std::vector<ProcessEntry> Container::list() const {
    std::vector<ProcessEntry> entries;
    for (const pid_t pid : cgroup_->processes()) {
        ProcessEntry entry{pid, "", pid == init_->pid()};
        for (const auto& [exec_id, process] : execs_) {
            if (process->pid() == pid) {
                entry.exec_id = exec_id;
            }
        }
        entries.push_back(std::move(entry));
    }
    return entries;
}

Awaitable<> Container::remove_exec(std::string exec_id) {
    const auto self = shared_from_this();
    const auto exec = find(exec_id);
    if (!exec->has_ended()) {
        throw Error(
            Code::failed_precondition,
            "delete exec " + exec_id + ": the process is running; kill it first"
        );
    }
    // Forgotten at once, so that a second call finds nothing, whatever becomes of this one.
    execs_.erase(exec_id);
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await exec->close();
}

Awaitable<> Container::forget_exec(std::string exec_id) {
    const auto self = shared_from_this();
    const auto found = execs_.find(exec_id);
    if (found == execs_.end()) {
        co_return;
    }
    const auto exec = found->second;
    co_await exec->wait_streams();
    // Somebody else may have removed it meanwhile, and another may have its id.
    const auto same = execs_.find(exec_id);
    if (same != execs_.end() && same->second == exec) {
        co_await remove_exec(std::move(exec_id));
    }
}

Awaitable<> Container::end_process(std::shared_ptr<Process> process, Deadline deadline) {
    try {
        co_await process->kill(deadline);
    } catch (const std::exception& error) {
        context_.logger.error("A process did not exit after SIGKILL", {{"error", error.what()}});
    }
    process->publish_exit();
    co_await process->close();
}

Awaitable<> Container::undo() {
    const auto self = shared_from_this();
    const Deadline deadline = deadline_in(kill_limit);
    co_await watches_.stop();
    if (cgroup_) {
        try {
            co_await cgroup_->remove(deadline);
        } catch (const std::exception& error) {
            context_.logger.error("Cannot remove a cgroup", {{"error", error.what()}});
        }
    }
    std::vector<std::shared_ptr<Process>> processes{init_};
    for (const auto& [exec_id, process] : execs_) {
        processes.push_back(process);
    }
    for (const auto& process : processes) {
        co_await end_process(process, deadline);
    }
    co_await tasks_.join();
    execs_.clear();
    sockets_.clear();
    pod_init_.reset();
    co_await close_root_disk();
}

// After the last process: none is left in a mount namespace that has it.
Awaitable<> Container::close_root_disk() {
    if (!root_disk_) {
        co_return;
    }
    try {
        co_await root_disk_->close(deadline_in(unmount_limit));
    } catch (const std::exception& error) {
        context_.logger.error("Cannot unmount a disk", {{"error", error.what()}});
    }
}

} // namespace cppvm::guest
