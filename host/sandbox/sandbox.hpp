#pragma once

#include "host/config/config.hpp"
#include "host/pod/pod_spec.hpp"
#include "host/pod/sizing.hpp"
#include "host/rundir/identity.hpp"
#include "host/sandbox/clock_keeper.hpp"
#include "host/sandbox/device_keeper.hpp"
#include "host/sandbox/network_keeper.hpp"
#include "host/sandbox/pod_memory.hpp"
#include "host/sandbox/report.hpp"
#include "host/sandbox/sandbox_state.hpp"
#include "host/sandbox/task.hpp"
#include "host/sockets/socket_offers.hpp"
#include "host/vm/virtual_machine.hpp"
#include "host/watches/volume_watches.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace cppvm::sandbox {

/// What a sandbox is made of. Plain data.
struct SandboxSpec {
    Identity identity;
    pod::PodSpec pod;
    config::Config config;
    std::filesystem::path run_dir; ///< exists already, locked by the daemon
    std::filesystem::path stand_in_program;
    Timeouts timeouts = {};
    PodMemory memory = {};
    storage::DeviceTree host = {}; ///< where its hardware is found
};

/// One virtual machine and the containers in it: the owner of everything that exists for a pod.
///
/// A process of the guest is dead for containerd only when it has ended or the machine has. So a
/// machine whose agent cannot be talked to any more is destroyed: nothing in it could be reported
/// on.
///
/// Thread: the loop's only.
class Sandbox {
  public:
    /// Borrows: `hypervisor` and `events`, which must outlive it.
    Sandbox(
        const asio::any_io_executor& executor,
        Logger logger,
        SandboxSpec spec,
        vm::Hypervisor& hypervisor,
        TaskEventSink& events
    );
    Sandbox(const Sandbox&) = delete;
    Sandbox& operator=(const Sandbox&) = delete;
    ~Sandbox(); ///< `stop` must have been awaited

    const Identity& identity() const noexcept { return spec_.identity; }
    const std::filesystem::path& run_dir() const noexcept { return spec_.run_dir; }
    const std::filesystem::path& stand_in_program() const noexcept {
        return spec_.stand_in_program;
    }

    /// Starts the boot and returns at once. A failure is what `create` and `wait_booted` report.
    void boot();
    /// The same for a pod that was not known before. Once.
    void boot(pod::PodSpec pod);

    /// Throws: why it does not run.
    Awaitable<> wait_booted();
    /// The pod's network namespace on the host; borrowed. Throws: why there is none.
    Awaitable<int> network() { return network_.descriptor(); }
    /// By the paths of this process specs name the namespaces of the pod.
    void set_stand_in(pid_t pid) noexcept { stand_in_ = pid; }

    /// Destroys the VM, for the first who asks. Returns when nothing runs in it.
    Awaitable<> end_machine(std::string reason);
    /// Until nothing runs in the VM, or never will.
    Awaitable<> wait_machine_gone() { return machine_gone_.wait(); }

    /// Throws: Error (already_exists), or why the container could not be made; then nothing is
    /// left.
    Awaitable<pid_t> create(TaskSpec spec);

    /// Throws: Error (not_found).
    std::shared_ptr<Task> task(const std::string& id) const;
    /// The same; null instead of the error.
    std::shared_ptr<Task> find_task(const std::string& id) const noexcept;

    /// Deletes an exec, or a container and, with it, forgets its id.
    Awaitable<ProcessStatus> remove(std::string id, std::string exec_id);

    bool empty() const noexcept { return tasks_.empty(); }
    /// Whether the Task API's Shutdown is about it: not once there is a sandbox of the Sandbox API,
    /// for it comes with the deletion of every container.
    bool ends_with_tasks() const noexcept {
        return !spec_.pod.awaits_create || state_.is<SandboxState::Waiting>();
    }

    SandboxReport report() const;

    /// The first part of `stop`: no more containers, no machine, no network.
    /// Those that ran have exited, and are still to be deleted. Bounded, idempotent, does not
    /// throw.
    Awaitable<> halt();

    /// Undoes everything: containers, machine, share. Bounded, idempotent, does not throw.
    Awaitable<> stop();

  private:
    Awaitable<> run_boot();
    void size_machine();
    bool killed_for_memory() const;
    void report_lack_of_memory();
    Awaitable<> start_machine();
    void check_protocol(const vm::AgentHello& hello) const;
    Awaitable<> connect_agent();
    void hear(const agent::v2::Event& event);
    Awaitable<> tell_changes(agent::v2::ReplayRequest request);
    void join_socket(const agent::v2::Event::SocketConnection& connection);
    Awaitable<> set_clock(AgentHandle agent);
    Awaitable<> watch_machine();
    Awaitable<> watch_agent(AgentHandle agent);
    Awaitable<> destroy_machine();
    Awaitable<> configure_pod(AgentHandle agent);
    Awaitable<> finish_work();
    Awaitable<> do_halt();
    Awaitable<> wait_exits();
    Awaitable<> do_stop();
    Awaitable<> abandon_tasks();
    Awaitable<storage::Share*> wait_share();
    Awaitable<> sync_network(std::filesystem::path resolv_conf);
    Awaitable<AgentHandle> wait_agent();
    Awaitable<std::string> attach_disk(std::string container_id, storage::DiskSpec disk);
    Awaitable<std::vector<std::string>> attach_group(std::string container_id, unsigned group);
    Awaitable<> detach_devices(std::string container_id);
    TaskEnvironment task_environment();
    std::string find_container(pid_t stand_in) const;
    void note_boot(const vm::AgentHello& hello);

    asio::any_io_executor executor_;
    Logger logger_;
    SandboxSpec spec_;
    vm::Hypervisor& hypervisor_;
    TaskEventSink& events_;

    std::chrono::steady_clock::time_point boot_began_;
    std::vector<BootPhase> boot_phases_;
    pod::MachineSize size_; ///< once it boots
    NetworkKeeper network_;
    DeviceKeeper devices_;
    unsigned pci_ports_ = 0; ///< of the machine
    sockets::SocketOffers sockets_;
    watches::VolumeWatches watches_;
    SandboxState state_;
    Event share_ready_; ///< share_ is open, or state_ says why not
    Event booted_;      ///< state_ is no longer booting
    std::unique_ptr<storage::Share> share_;
    std::shared_ptr<vm::VirtualMachine> machine_; ///< shared with whoever waits for its end
    std::optional<ClockKeeper> clock_keeper_;
    Event machine_gone_; ///< nothing runs in it, as far as can be known

    /// A null pointer reserves the id of a container that is being created.
    std::map<std::string, std::shared_ptr<Task>> tasks_;
    int creates_ = 0; ///< that are under way
    Event creates_ended_;
    pid_t stand_in_ = 0; ///< of the sandbox itself; 0: none
    RunOnce work_finished_;
    RunOnce halted_;
    RunOnce stopped_;
    TaskGroup coroutines_;
};

} // namespace cppvm::sandbox
