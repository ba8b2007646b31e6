#pragma once

#include "common/async/run_once.hpp"
#include "common/async/task_group.hpp"
#include "host/agent/link.hpp"
#include "host/hooks/hooks.hpp"
#include "host/pod/guest_spec.hpp"
#include "host/sandbox/agent_handle.hpp"
#include "host/sandbox/process.hpp"
#include "host/sandbox/timeouts.hpp"
#include "host/sandbox/undo_steps.hpp"
#include "host/sockets/socket_offers.hpp"
#include "host/storage/iommu_group.hpp"
#include "host/storage/root_watch.hpp"
#include "host/storage/share.hpp"

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace cppvm::sandbox {

/// What containerd asks for with Create. Plain data.
struct TaskSpec {
    std::string id;
    std::filesystem::path bundle;
    std::vector<storage::MountSpec> rootfs;
    io::StdioSpec stdio;
};

/// What a container needs of its sandbox, which outlives it.
struct TaskEnvironment {
    asio::any_io_executor executor;
    Logger logger;
    TaskEventSink& events;
    std::filesystem::path stand_in_program;
    std::string containerd_namespace; ///< for logging binaries
    /// The pod's network namespace on the host, which the sandbox owns; throws why there is none.
    std::function<Awaitable<int>()> network;
    /// Until the guest has what is in that namespace now, with the name servers of this resolv.conf
    /// of the host's (empty: none) that only the host reaches. Throws: Error.
    std::function<Awaitable<>(std::filesystem::path resolv_conf)> sync_network;
    std::filesystem::path network_path; ///< of that, if it was named
    std::vector<pod::PodFile> files;    ///< what the container sees if its spec has nothing there
    pid_t pod_stand_in = 0;             ///< of the sandbox itself; 0: none
    /// The container that a stand-in of the sandbox belongs to.
    pod::FindContainer find_container;
    /// The share, once its servers run; throws why not.
    std::function<Awaitable<storage::Share*>()> share;
    /// The agent, once the guest is up; throws why not.
    std::function<Awaitable<AgentHandle>()> agent;
    /// Gives the guest a disk for a container; its serial number. Throws: Error.
    std::function<Awaitable<std::string>(std::string id, storage::DiskSpec disk)> attach_disk;
    /// Gives it the devices of an IOMMU group; its addresses of their ports. Throws: Error.
    std::function<Awaitable<std::vector<std::string>>(std::string id, unsigned group)> attach_group;
    /// Takes a container's devices away, and the machine with them if need be.
    std::function<Awaitable<>(std::string id)> detach_devices;
    /// Destroys the VM, the last resort against its guest. Returns when nothing runs in it.
    std::function<Awaitable<>(std::string reason)> end_machine;
    /// Until nothing runs in the VM, which the sandbox ensures if the connection to it is lost.
    std::function<Awaitable<>()> machine_gone;
    std::function<unsigned()> memory_mib; ///< of the machine, once there is an agent
    Timeouts timeouts;
    sockets::SocketOffers& sockets;
    std::vector<std::filesystem::path> opened_sockets; ///< [sockets] host_to_guest
    storage::DeviceTree host;                          ///< where its hardware is found
};

/// One process as `Task::processes` lists it.
struct ProcessEntry {
    /// Of init and execs, the host's pid of their stand-ins. Of others, the guest's, from 2^22 on:
    /// no process of the host has such a pid.
    pid_t pid = 0;
    std::string exec_id; ///< of an exec; empty otherwise
};

/// A container in the guest: its init, its execs, its part of the share.
///
/// The guest is asked, but not believed: a process that got SIGKILL has exited when the guest says
/// so or when `Timeouts::kill` has passed, in which case an init takes the VM with it. So Kill and
/// Delete come to their end whatever the guest does.
///
/// Operations that change something run to their end: they must not be cancelled (the API shields
/// them), and each wait in them is bounded. On failure what was done is undone.
/// Throws: Error with the codes of the Task API (not_found, already_exists, failed_precondition,
/// …). Thread: the loop's only.
class Task {
  public:
    Task(TaskEnvironment environment, TaskSpec spec);
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    ~Task();

    const TaskSpec& spec() const noexcept { return spec_; }

    /// Prepares everything up to the point before exec; returns the pid for containerd.
    Awaitable<pid_t> create();

    /// Starts the init or a registered exec; returns its pid.
    Awaitable<pid_t> start(std::string exec_id);

    /// Registers an exec. `process` is the OCI spec's process object (JSON).
    void add_exec(std::string exec_id, io::StdioSpec stdio, std::string process);

    /// Until the process has exited.
    Awaitable<Exit> wait(std::string exec_id);

    /// `all`: every process of the container (ignored for execs, as in runc).
    Awaitable<> kill(std::string exec_id, std::uint32_t signal, bool all);

    /// Forgets an exec, or undoes the whole container. After the latter the object is inert.
    Awaitable<ProcessStatus> remove(std::string exec_id);

    /// Of the init or an exec.
    ProcessStatus status(const std::string& exec_id) const;
    /// Of all of them, the init first.
    std::vector<ProcessStatus> statuses() const;

    /// Whether that process of the host stands for one of the container's.
    bool has_stand_in(pid_t pid) const noexcept;

    Awaitable<> resize_console(std::string exec_id, std::uint32_t width, std::uint32_t height);

    void close_stdin(const std::string& exec_id);

    /// All processes in the container, each with a host pid of its own. Never empty: a guest that
    /// does not answer, or an init that has exited, gives the init alone.
    Awaitable<std::vector<ProcessEntry>> processes();

    /// Stops all processes of the container, or lets them go on.
    Awaitable<> pause();
    Awaitable<> resume();

    /// Changes its limits. `resources` is the OCI spec's linux.resources (JSON).
    Awaitable<> update(std::string resources);

    /// What the guest says that it uses.
    Awaitable<agent::v2::StatsResponse> stats();

    /// The guest says that the kernel has killed for memory.
    void report_out_of_memory();

    /// Drops everything on the host without asking the guest: for the sandbox's own end.
    Awaitable<> abandon();

  private:
    using ProcessHandle = std::shared_ptr<Process>;

    ProcessHandle find(const std::string& exec_id) const;
    std::vector<ProcessEntry> to_entries(const agent::v2::ListProcessesResponse& listed) const;

    // task.cpp: create, delete
    Awaitable<> prepare();
    Awaitable<storage::SharedNames> prepare_storage();
    oci::ContainerState hook_state(std::string status) const;
    void check_network_path();
    void offer_sockets();
    void add_sockets(agent::v2::CreateContainerRequest& request) const;
    Awaitable<> withdraw_sockets();
    Awaitable<> run_create_hooks();
    Awaitable<> run_poststop_hooks();
    Awaitable<> attach_devices(agent::v2::CreateContainerRequest& request);
    Awaitable<> create_in_guest();
    Awaitable<> open_view(storage::SharedNames names);
    std::unique_ptr<storage::RootWatch> make_root_watch() const;
    Awaitable<> follow_root(std::filesystem::path watched);
    Awaitable<> run_undo();
    Awaitable<> undo(UndoStep step);
    Awaitable<ProcessStatus> remove_exec(ProcessHandle process);
    Awaitable<> delete_in_guest(ProcessHandle process);
    Awaitable<> do_abandon();

    // task_start.cpp
    Awaitable<agent::v2::Stdio> open_stdio(const ProcessHandle& process, AgentHandle agent);
    void report_unsupported(const Process& process, const std::vector<std::string>& paths) const;
    Awaitable<> open_io(ProcessHandle process);
    void start_stand_in(const ProcessHandle& process, const oci::Process& shown);
    Awaitable<> start_init();
    Awaitable<> start_in_guest();
    Awaitable<> run_poststart_hooks();
    Awaitable<> start_exec(ProcessHandle process);
    Awaitable<> exec_in_guest(ProcessHandle process);
    Awaitable<> end_in_guest(ProcessHandle process);

    // task_limits.cpp
    Awaitable<> freeze(bool frozen);
    bool exceeds_machine(const oci::Resources& resources) const;

    // task_exit.cpp
    Awaitable<> watch_init();
    Awaitable<> watch_exec(ProcessHandle process);
    Awaitable<Exit> exit_of(ProcessHandle process);
    void finish(const ProcessHandle& process, Exit exit);
    Awaitable<> finish_execs();
    Awaitable<> deliver_output(ProcessHandle process);
    Awaitable<> finish_init_io();
    Awaitable<> stop_io(ProcessHandle process, std::chrono::milliseconds grace);

    // task_kill.cpp
    Awaitable<> kill_for_good(ProcessHandle process, bool all);
    Awaitable<> run_kill_clock(ProcessHandle process);
    Awaitable<Status> signal_in_guest(ProcessHandle process, std::uint32_t signal, bool all);
    Awaitable<> watch_stand_in(ProcessHandle process, std::shared_ptr<StandIn> stand_in);

    TaskEnvironment environment_;
    TaskSpec spec_;
    Logger logger_;
    pod::GuestSpec guest_spec_;
    storage::Share* share_ = nullptr; ///< borrowed, from the first step on
    int network_namespace_ = -1;      ///< the pod's, where all stand-ins live; borrowed
    UniqueFd view_;                   ///< the mount namespace of all stand-ins
    std::unique_ptr<storage::RootWatch> root_watch_; ///< if others may write to its root
    ProcessHandle init_;
    std::map<std::string, ProcessHandle> execs_;
    std::vector<std::uint64_t> offered_sockets_; ///< their numbers, as in the storage plan
    std::chrono::steady_clock::time_point last_out_of_memory_; ///< that was reported
    UndoSteps undo_;
    RunOnce abandoned_;
    TaskGroup coroutines_;
};

} // namespace cppvm::sandbox
