#include "host/sandbox/sandbox.hpp"

#include "common/async/all_of.hpp"
#include "common/async/timeout.hpp"
#include "common/base/build_id.hpp"
#include "common/base/error.hpp"
#include "common/base/scope_exit.hpp"
#include "common/wire/ports.hpp"

#include <algorithm>
#include <utility>

namespace cppvm::sandbox {

namespace {

// QEMU runs within a second; libvirtd may first have to probe it, once after its start.
constexpr std::chrono::seconds machine_start_timeout{30};
constexpr std::chrono::seconds agent_connect_timeout{10};
constexpr std::chrono::seconds set_clock_timeout{5};
constexpr std::chrono::seconds configure_timeout{5};
constexpr std::chrono::seconds network_timeout{20};
constexpr std::chrono::seconds attach_timeout{20};
constexpr std::chrono::seconds stop_timeout{10};
constexpr std::chrono::seconds socket_dial_timeout{10};
constexpr std::chrono::seconds replay_timeout{40}; // more than the agent takes for it
constexpr const char* lack_of_memory =
    "the kernel has killed a process of its cgroup for want of memory; raise the pod's limits, or "
    "overhead.podFixed.memory of its RuntimeClass";
// For tasks to report what the end of their machine means for them; nothing of the guest is asked.
constexpr std::chrono::seconds exit_timeout{5};

// As CRI gives each of its pods.
constexpr std::uint64_t shm_bytes = 64UL * 1024 * 1024;

std::int64_t milliseconds(std::chrono::steady_clock::duration duration) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

} // namespace

Sandbox::Sandbox(
    const asio::any_io_executor& executor,
    Logger logger,
    SandboxSpec spec,
    vm::Hypervisor& hypervisor,
    TaskEventSink& events
)
    : executor_(executor), logger_(std::move(logger)), spec_(std::move(spec)),
      hypervisor_(hypervisor), events_(events),
      network_(executor, logger_, "cv" + spec_.identity.short_id().substr(0, 9), spec_.config),
      devices_(executor, spec_.host), sockets_(executor, logger_),
      watches_(
          executor,
          logger_,
          [this] { return share_ ? share_->volumes_namespace() : -1; },
          [this](agent::v2::ReplayRequest request) { return tell_changes(std::move(request)); }
      ),
      state_(spec_.identity.sandbox_id()), share_ready_(executor), booted_(executor),
      machine_gone_(executor), creates_ended_(executor), work_finished_(executor),
      halted_(executor), stopped_(executor), coroutines_(executor, logger_) {
    creates_ended_.set();
}

Sandbox::~Sandbox() = default;

void Sandbox::boot(pod::PodSpec pod) {
    spec_.pod = std::move(pod);
    boot();
}

void Sandbox::boot() {
    if (!state_.boot()) {
        return; // it was stopped first
    }
    boot_began_ = std::chrono::steady_clock::now();
    coroutines_.spawn("boot", run_boot());
}

Awaitable<> Sandbox::run_boot() {
    std::exception_ptr failure;
    try {
        co_await start_machine();
        co_await connect_agent();
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure && killed_for_memory()) {
        failure = std::make_exception_ptr(
            Error(Code::resource_exhausted, to_status(failure).message + "; " + lack_of_memory)
        );
    }
    if (failure && !state_.is<SandboxState::Stopping>()) {
        state_.fail(with_context(failure, "boot sandbox " + spec_.identity.sandbox_id()));
        logger_.error("Sandbox did not boot", {{"error", state_.reason()}});
        network_.give_up(failure);
        share_ready_.set();
        booted_.set();
        // `stop` may cancel this task now that the failure is known; the undo still runs to its
        // end.
        co_await shielded(destroy_machine(), deadline_in(stop_timeout), "destroy machine");
    }
}

void Sandbox::size_machine() {
    const auto limit = spec_.memory.limit ? spec_.memory.limit() : std::nullopt;
    size_ = pod::size_machine(spec_.pod.limits, spec_.config, pod::host_size(limit));
    if (!size_.cut.empty()) {
        logger_.warn("The machine is smaller than its pod may be", {{"because", size_.cut}});
    }
}

Awaitable<> Sandbox::start_machine() {
    size_machine();
    coroutines_.spawn("open network namespace", network_.open(spec_.pod.network, size_.vcpus));
    const auto share_dir = spec_.run_dir / "share";
    share_ = std::make_unique<storage::Share>(executor_, share_dir, logger_);

    const config::Vm& vm = spec_.config.vm;
    vm::VmSpec machine;
    machine.name = spec_.identity.domain_name();
    machine.uuid = spec_.identity.uuid();
    machine.title = spec_.identity.containerd_namespace() + "/" + spec_.identity.sandbox_id();
    machine.vcpus = size_.vcpus;
    machine.memory_mib = size_.memory_mib;
    machine.huge_page_mib = vm.huge_page_mib;
    machine.kernel = vm.kernel;
    machine.initramfs = vm.initramfs;
    machine.command_line = vm.kernel_parameters;
    machine.run_dir = spec_.run_dir;
    machine.share_dir = share_dir;
    machine.nics = co_await network_.boot_nics();
    machine.user_nic = network_.user_nic();
    machine.hotplug_slots = network_.later_nics() + max_disks;
    pci_ports_ = storage::has_vfio_groups(spec_.host) ? vm::max_pci_ports : 0;
    machine.pci_ports = pci_ports_;
    const std::vector<vm::Nic> nics = machine.nics;
    // A host that needs more time for the boot needs more time for this too.
    const auto start_timeout = std::max(machine_start_timeout, spec_.config.vm.boot_timeout);
    machine_ = co_await hypervisor_.start(std::move(machine), deadline_in(start_timeout));
    network_.join_boot_nics(*machine_, nics);
    share_->open(machine_->share_servers());
    share_ready_.set();
    coroutines_.spawn("watch machine", watch_machine());
}

void Sandbox::check_protocol(const vm::AgentHello& hello) const {
    if (hello.protocol_version != wire::protocol_version) {
        throw Error(
            Code::failed_precondition,
            "guest image " + spec_.config.vm.initramfs.native() + " speaks protocol version " +
                std::to_string(hello.protocol_version) + ", this shim version " +
                std::to_string(wire::protocol_version) +
                ": rebuild the image with `cppvm image build`, or install the one of this version"
        );
    }
    if (hello.build_id != build_id()) {
        logger_.debug("Guest image is of another build", {{"image", hello.build_id}});
    }
}

Awaitable<> Sandbox::connect_agent() {
    const vm::AgentHello hello =
        co_await machine_->wait_hello(deadline_in(spec_.config.vm.boot_timeout));
    check_protocol(hello);
    AgentHandle agent = co_await agent::Link::open(
        *machine_,
        logger_,
        spec_.timeouts.link,
        [this](const agent::v2::Event& event) { hear(event); },
        deadline_in(agent_connect_timeout)
    );
    if (!state_.connect(agent)) { // `stop` came first
        co_await asio::this_coro::throw_if_cancelled(false);
        co_await agent->stop();
        co_await asio::this_coro::throw_if_cancelled(true);
        state_.check_usable();
    }
    co_await set_clock(agent);
    co_await configure_pod(agent);
    co_await network_.sync(*machine_, agent, deadline_in(network_timeout));
    coroutines_.spawn("keep network", network_.keep(*machine_, agent));
    note_boot(hello);
    coroutines_.spawn("watch agent", watch_agent(agent));
    state_.run();
    booted_.set();
}

void Sandbox::hear(const agent::v2::Event& event) {
    if (event.has_clock_wanted() && clock_keeper_) {
        clock_keeper_->want();
    } else if (event.has_listening()) {
        network_.set_listening(event.listening());
    } else if (event.has_socket_connection()) {
        join_socket(event.socket_connection());
    } else if (event.has_watch_wanted()) {
        watches_.want(event.watch_wanted());
    } else if (event.has_watch_unwanted()) {
        watches_.drop(event.watch_unwanted());
    } else if (event.has_out_of_memory()) {
        if (const auto task = find_task(event.out_of_memory().container_id())) {
            task->report_out_of_memory();
        }
    }
}

Awaitable<> Sandbox::tell_changes(agent::v2::ReplayRequest request) {
    const AgentHandle agent = co_await wait_agent();
    co_await agent->call(
        &agent::v2::AgentClient::replay,
        std::move(request),
        deadline_in(replay_timeout),
        agent::Repeat::yes
    );
}

void Sandbox::join_socket(const agent::v2::Event::SocketConnection& connection) {
    if (const AgentHandle agent = state_.connection()) {
        sockets_.connect(
            connection.socket(),
            connection.connection(),
            [agent](std::uint64_t number, bool taken) {
                return agent->open_socket(number, taken, deadline_in(socket_dial_timeout));
            }
        );
    }
}

// Before any container: its files would come from the past.
Awaitable<> Sandbox::set_clock(AgentHandle agent) {
    clock_keeper_.emplace(executor_, *agent);
    try {
        const auto ahead = co_await clock_keeper_->set(deadline_in(set_clock_timeout));
        logger_.debug("Guest's clock set", {{"ahead_us", ahead.count() / 1000}});
        coroutines_.spawn("keep clock", clock_keeper_->keep());
    } catch (const Error& error) {
        logger_.warn("Guest's clock not set", {{"error", error.message()}});
    }
}

// What the pod's containers share is the machine's own. Without the Sandbox API the specs of the
// containers say what it is to be.
Awaitable<> Sandbox::configure_pod(AgentHandle agent) {
    if (!spec_.pod.awaits_create) {
        co_return;
    }
    agent::v2::ConfigurePodRequest request;
    request.set_hostname(spec_.pod.hostname);
    request.mutable_sysctls()->insert(spec_.pod.sysctls.begin(), spec_.pod.sysctls.end());
    request.set_shm_bytes(shm_bytes);
    co_await agent->call(
        &agent::v2::AgentClient::configure_pod,
        std::move(request),
        deadline_in(configure_timeout),
        agent::Repeat::yes
    );
}

void Sandbox::note_boot(const vm::AgentHello& hello) {
    using std::chrono::microseconds;
    for (const auto& phase : machine_->phases()) {
        boot_phases_.push_back(
            {phase.name, std::chrono::duration_cast<microseconds>(phase.ended - boot_began_)}
        );
    }
    for (const auto& [name, ended] : hello.phases_us) {
        boot_phases_.push_back({"guest-" + name, microseconds(static_cast<std::int64_t>(ended))});
    }
    std::string phases;
    for (const BootPhase& phase : boot_phases_) {
        phases.append(phase.name).append(":");
        phases.append(std::to_string(phase.ended.count() / 1000)).append(" ");
    }
    const auto total = milliseconds(std::chrono::steady_clock::now() - boot_began_);
    logger_.info(
        "Sandbox booted",
        {{"total_ms", total}, {"phases_ms", phases}, {"kernel", hello.kernel_release}}
    );
}

bool Sandbox::killed_for_memory() const {
    return spec_.memory.kills && spec_.memory.kills() > 0;
}

// Before the exits: containerd takes the reason of an exit from what came before it.
void Sandbox::report_lack_of_memory() {
    for (const auto& [id, task] : tasks_) {
        if (task) {
            task->report_out_of_memory();
        }
    }
}

// The machine's end is the end of every process in it: closing the connection makes each pending
// wait fail, which the tasks report as exits.
Awaitable<> Sandbox::watch_machine() {
    co_await machine_->wait_gone();
    const bool killed = killed_for_memory();
    if (killed) {
        report_lack_of_memory();
    }
    const std::string reason = killed ? lack_of_memory : "it ended by itself";
    if (state_.end(reason)) { // else whoever ends it, or boots it, reports it
        logger_.warn(
            "The VM has ended", {{"reason", reason}, {"console_tail", machine_->console_tail()}}
        );
    }
    machine_gone_.set();
    if (const AgentHandle agent = state_.connection()) {
        co_await agent->stop();
    }
}

// Without its agent nothing of what goes on in the machine can be known.
Awaitable<> Sandbox::watch_agent(AgentHandle agent) {
    co_await end_machine(co_await agent->wait_lost());
}

Awaitable<> Sandbox::end_machine(std::string reason) {
    if (state_.end(reason)) {
        logger_.error(
            "Destroying the VM", {{"reason", reason}, {"console_tail", machine_->console_tail()}}
        );
        coroutines_.spawn("destroy machine", destroy_machine());
    }
    co_await machine_gone_.wait();
}

// In its own frame, for `stop` may drop the members meanwhile.
Awaitable<> Sandbox::destroy_machine() {
    const auto machine = machine_;
    const AgentHandle agent = state_.connection();
    if (agent) {
        co_await agent->stop(); // first, or it would dial again
    }
    if (machine) {
        co_await machine->stop();
    }
    machine_gone_.set();
}

Awaitable<storage::Share*> Sandbox::wait_share() {
    co_await share_ready_.wait();
    state_.check_usable();
    co_return share_.get();
}

// What has come between Create and Start, by `ctr --cni` or hooks, must be there at a container's
// first instruction.
Awaitable<> Sandbox::sync_network(std::filesystem::path resolv_conf) {
    const AgentHandle agent = co_await wait_agent();
    const auto machine = machine_;
    co_await network_.sync(*machine, agent, deadline_in(network_timeout));
    co_await network_.relay_names(agent, std::move(resolv_conf));
}

Awaitable<> Sandbox::wait_booted() {
    co_await wait_agent();
}

Awaitable<AgentHandle> Sandbox::wait_agent() {
    co_await booted_.wait();
    co_return state_.agent();
}

Awaitable<std::string> Sandbox::attach_disk(std::string container_id, storage::DiskSpec disk) {
    const AgentHandle agent = co_await wait_agent(); // or the guest would not take notice of it
    const auto machine = machine_;
    co_return co_await devices_.add_disk(
        *machine, std::move(container_id), std::move(disk), deadline_in(attach_timeout)
    );
}

Awaitable<std::vector<std::string>>
Sandbox::attach_group(std::string container_id, unsigned group) {
    const AgentHandle agent = co_await wait_agent();
    const auto machine = machine_;
    // All of the guest's memory is made and locked with the first.
    const auto timeout = attach_timeout + std::chrono::seconds(size_.memory_mib / 1024);
    co_return co_await devices_.add_group(
        *machine, std::move(container_id), group, pci_ports_, deadline_in(timeout)
    );
}

// What the guest does not give back, it loses with its machine: it may soon be another's.
Awaitable<> Sandbox::detach_devices(std::string container_id) {
    const auto machine = machine_;
    std::string failure;
    if (machine && !machine_gone_.is_set()) {
        try {
            co_await devices_.remove(
                *machine, container_id, deadline_in(spec_.timeouts.detach_devices)
            );
            co_return;
        } catch (const Error& error) {
            failure = error.message();
        }
        co_await end_machine("container " + container_id + " keeps a device: " + failure);
    }
    devices_.forget(container_id);
}

TaskEnvironment Sandbox::task_environment() {
    return {
        executor_,
        logger_,
        events_,
        spec_.stand_in_program,
        spec_.identity.containerd_namespace(),
        [this] { return network_.descriptor(); },
        [this](std::filesystem::path resolv_conf) { return sync_network(std::move(resolv_conf)); },
        spec_.pod.network.path,
        spec_.pod.files,
        stand_in_,
        [this](pid_t pid) { return find_container(pid); },
        [this] { return wait_share(); },
        [this] { return wait_agent(); },
        [this](std::string id, storage::DiskSpec disk) {
            return attach_disk(std::move(id), std::move(disk));
        },
        [this](std::string id, unsigned group) { return attach_group(std::move(id), group); },
        [this](std::string id) { return detach_devices(std::move(id)); },
        [this](std::string reason) { return end_machine(std::move(reason)); },
        [this] { return machine_gone_.wait(); },
        [this] { return size_.memory_mib; },
        spec_.timeouts,
        sockets_,
        spec_.config.sockets.host_to_guest,
        spec_.host,
    };
}

std::string Sandbox::find_container(pid_t pid) const {
    for (const auto& [id, task] : tasks_) {
        if (task && task->has_stand_in(pid)) {
            return id;
        }
    }
    return "";
}

Awaitable<pid_t> Sandbox::create(TaskSpec spec) {
    const std::string id = spec.id;
    check_identifier("container id", id);
    state_.check_takes_tasks("create task " + id);
    if (!tasks_.emplace(id, nullptr).second) {
        throw Error(Code::already_exists, "create task " + id + ": already exists");
    }
    ++creates_;
    creates_ended_.clear();
    ScopeExit end_create([this] {
        if (--creates_ == 0) {
            creates_ended_.set();
        }
    });
    ScopeExit release_id([this, &id] { tasks_.erase(id); });
    auto task = std::make_shared<Task>(task_environment(), std::move(spec));
    pid_t pid = 0;
    try {
        if (!state_.is<SandboxState::Booting>()) {
            state_.check_usable(); // rather than what the spec names of a pod that is gone
        }
        pid = co_await task->create();
    } catch (...) {
        rethrow_with_context("create task " + id);
    }
    release_id.release();
    tasks_[id] = std::move(task);
    co_return pid;
}

std::shared_ptr<Task> Sandbox::find_task(const std::string& id) const noexcept {
    const auto found = tasks_.find(id);
    return found == tasks_.end() ? nullptr : found->second;
}

std::shared_ptr<Task> Sandbox::task(const std::string& id) const {
    auto found = find_task(id);
    if (!found) {
        throw Error(Code::not_found, "task " + id + ": not found");
    }
    return found;
}

SandboxReport Sandbox::report() const {
    using State = SandboxReport::State;
    SandboxReport report;
    if (state_.is<SandboxState::Waiting>() || state_.is<SandboxState::Booting>()) {
        report.state = State::booting;
    } else if (state_.is<SandboxState::Running>()) {
        report.state = State::running;
    } else if (state_.is<SandboxState::Failed>()) {
        report.state = State::failed;
    } else {
        report.state = State::ended;
    }
    report.reason = state_.reason();
    report.boot = boot_phases_;
    if (machine_) {
        report.machine = machine_->pid();
        report.console_tail = machine_->console_tail();
    }
    for (const auto& [id, task] : tasks_) {
        if (task) { // else it is being created
            report.tasks.push_back(task->statuses());
        }
    }
    return report;
}

Awaitable<ProcessStatus> Sandbox::remove(std::string id, std::string exec_id) {
    const auto found = task(id);
    ProcessStatus status = co_await found->remove(exec_id);
    if (exec_id.empty()) {
        tasks_.erase(id);
    }
    co_return status;
}

Awaitable<> Sandbox::halt() {
    co_await halted_.run(do_halt());
}

Awaitable<> Sandbox::do_halt() {
    co_await work_finished_.run(finish_work());
    co_await wait_exits();
    co_await network_.stop();
}

Awaitable<> Sandbox::wait_exits() {
    const Deadline deadline = deadline_in(exit_timeout);
    const auto tasks = tasks_;
    for (const auto& [id, task] : tasks) {
        if (task && !co_await ends_by(task->wait(""), deadline)) {
            logger_.warn("A task has not ended with its machine", {{"container", id}});
        }
    }
}

Awaitable<> Sandbox::stop() {
    co_await stopped_.run(do_stop());
}

Awaitable<> Sandbox::finish_work() {
    state_.stop();
    if (share_) {
        share_->stop(); // a create that waits for a volume need not do so any longer
    }
    // The boot may be under way: cancelled, it leaves nothing.
    co_await coroutines_.stop();
    network_.give_up(std::make_exception_ptr(
        Error(Code::cancelled, "sandbox " + spec_.identity.sandbox_id() + " was stopped")
    ));
    share_ready_.set();
    booted_.set();
    co_await destroy_machine();
    co_await watches_.stop();
    // Creates that are under way fail now and undo themselves, for which they need the share.
    co_await creates_ended_.wait();
}

Awaitable<> Sandbox::do_stop() {
    co_await work_finished_.run(finish_work());
    co_await abandon_tasks();
    co_await sockets_.stop();
    co_await network_.stop();
    machine_.reset();
    share_.reset();
}

// Beside each other: each may have to wait for a logging program.
Awaitable<> Sandbox::abandon_tasks() {
    const auto tasks = std::exchange(tasks_, {});
    std::vector<Awaitable<>> ends;
    for (const auto& [id, task] : tasks) {
        if (task) {
            ends.push_back(task->abandon());
        }
    }
    co_await all_of(std::move(ends));
}

} // namespace cppvm::sandbox
