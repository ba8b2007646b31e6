#pragma once

#include "common/async/task_group.hpp"
#include "common/oci/spec.hpp"
#include "guest-agent/cgroup/cgroup_dir.hpp"
#include "guest-agent/cgroup/device_rules.hpp"
#include "guest-agent/cgroup/event_file.hpp"
#include "guest-agent/cgroup/stats.hpp"
#include "guest-agent/container/container_state.hpp"
#include "guest-agent/container/pod.hpp"
#include "guest-agent/container/process.hpp"
#include "guest-agent/disks/root_disk.hpp"
#include "guest-agent/sockets/host_sockets.hpp"
#include "guest-agent/watches/watches.hpp"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cppvm::guest {

/// What all containers are made with. Borrowed parts outlive them.
struct ContainerContext {
    asio::any_io_executor executor;
    Reaper& reaper;
    StdioTable& stdio;
    HostSockets& sockets;
    Watches& watches;
    Pod& pod;
    std::string share;                 ///< where the host's files are
    std::filesystem::path cgroup_root; ///< cgroup v2
    /// Called when the kernel has killed a process of that container for a memory limit; once for
    /// those of a moment.
    std::function<void(const std::string& container_id)> on_out_of_memory;
    /// Until the machine has that disk. Throws: Error.
    std::function<Awaitable<Disk>(std::string serial, Deadline)> find_disk;
    /// Until the machine has a PCI device below that port. Throws: Error.
    std::function<Awaitable<>(std::string port, Deadline)> find_pci_device;
    Logger logger;
};

/// What one is made of.
struct ContainerSpec {
    std::string id;
    oci::Spec oci;
    DiskRequest disks;
    std::vector<HostSocketSpec> sockets; ///< of the host's, that its spec mounts
    std::vector<std::string> pci_ports;  ///< with devices that it waits for
    SeccompProgram seccomp;
    std::string bundle;                  ///< as the host calls it, for hooks
    std::vector<JoinedNamespace> joined; ///< other containers' that it lives in
    std::shared_ptr<PodInit> pod_init;   ///< if it lives in the pod's pid namespace
};

struct ProcessEntry {
    pid_t pid = 0;
    std::string exec_id;
    bool is_init = false;
};

/// One container: its init, its execs, its cgroup. The mounts are those of init's mount namespace
/// and go with it.
/// Owns: all of them. `undo` must have been awaited before the destructor.
/// Thread: the loop's only.
class Container : public std::enable_shared_from_this<Container> {
  public:
    Container(const ContainerContext& context, ContainerSpec spec);

    /// Makes everything and holds init just before its program. After a failure (also when
    /// cancelled) nothing is left of it, and only `undo` may be called.
    /// Throws: Error with the step and object that failed.
    Awaitable<> create(StdioRequest stdio);

    /// Throws: Error (failed_precondition) unless created, or with the words of a failed execve;
    /// then init has ended.
    Awaitable<> start();

    /// Starts a further process; gives its pid. After a failure nothing is left of it.
    /// Throws: Error: failed_precondition unless created or running, already_exists.
    Awaitable<pid_t> exec(std::string exec_id, oci::Process process, StdioRequest stdio);

    /// Init for an empty id. Throws: Error (not_found).
    std::shared_ptr<Process> find(const std::string& exec_id) const;

    const std::string& id() const noexcept { return id_; }
    const oci::Spec& spec() const noexcept { return spec_; }
    pid_t pid() const noexcept { return init_->pid(); }
    /// JSON paths of limits that this kernel does not have, by `create`.
    const std::vector<std::string>& unsupported() const noexcept { return unsupported_; }

    /// Of its init, for a container that is to live in namespaces of it.
    /// Throws: Error (failed_precondition) unless that waits for its start, or runs.
    UniqueFd open_init() const;

    /// Throws: Error (not_found) if init has ended.
    void signal_all(int number);

    std::vector<ProcessEntry> list() const;

    /// Stops all its processes, or lets them go on, and waits until that is so. While they are
    /// stopped there is no `exec`.
    /// Throws: Error: failed_precondition unless running, deadline_exceeded (then they run).
    Awaitable<> freeze(bool frozen);

    /// Changes its limits; gives the JSON paths of those that this kernel does not have. After a
    /// failure they are as they were.
    /// Throws: Error; failed_precondition unless it has been created and has not exited.
    std::vector<std::string> update(const oci::Resources& resources);

    /// Throws: Error.
    CgroupStats stats() const { return read_stats(context_.cgroup_root / id_); }

    /// Forgets an exec. Throws: Error: not_found; failed_precondition while it runs.
    Awaitable<> remove_exec(std::string exec_id);

    /// Forgets an exec that has ended once its streams have, unless it is forgotten before.
    Awaitable<> forget_exec(std::string exec_id);

    /// Throws: Error (failed_precondition) if it runs, is being made or being removed. Afterwards
    /// `undo` is due, and the container refuses everything else.
    void begin_remove() { state_.remove(); }

    /// Kills what is left and removes all. Does not throw: what could not be undone is logged.
    /// Cancels: goes on.
    Awaitable<> undo();

  private:
    std::function<void(UniqueFd)> watch_listener() const;
    Awaitable<> set_up(StdioRequest stdio);
    Awaitable<> set_up_disks();
    Awaitable<> wait_for_pci_devices();
    Awaitable<> close_root_disk();
    ProcessSpec make_process_spec(const oci::Process& process, const StdioRequest& request) const;
    void keep_socket_mounts();
    void watch_memory(const oci::Resources& resources);
    Awaitable<> watch_kills();
    bool was_killed_for_memory() const noexcept;
    void report_kills();
    Awaitable<> start_exec(std::shared_ptr<Process> exec, oci::Process process, StdioRequest stdio);
    Launched clone_exec(const ProcessSpec& process);
    Awaitable<> end_process(std::shared_ptr<Process> process, Deadline deadline);
    void on_init_reaped();
    void on_exec_reaped();
    Awaitable<> finish_exit();
    bool has_live_exec() const;
    void publish_exit();

    ContainerContext context_;
    std::string id_;
    oci::Spec spec_;
    DiskRequest disks_;
    std::vector<std::string> pci_ports_;
    SeccompProgram seccomp_;
    std::vector<HostSocketSpec> socket_specs_;
    std::optional<RootDisk> root_disk_;
    std::string bundle_;
    std::vector<JoinedNamespace> joined_; ///< until it has been made
    std::shared_ptr<PodInit> pod_init_;   ///< keeps the pod's pid namespace
    std::uint64_t namespaces_ = 0;        ///< those that its init does not share with the agent
    std::vector<std::string> volumes_;    ///< that its processes may watch, below the share
    bool owns_pid_namespace_ = false;
    std::vector<std::string> unsupported_;
    std::vector<HostSockets::Listening> sockets_;
    std::unique_ptr<CgroupDir> cgroup_;
    DeviceProgram device_program_;           ///< attached to the cgroup
    std::optional<EventFile> memory_events_; ///< nothing where the kernel has no limits of memory
    std::uint64_t reported_kills_ = 0;
    bool watches_memory_ = false;
    std::shared_ptr<Process> init_;
    std::map<std::string, std::shared_ptr<Process>> execs_;
    Event execs_ended_;
    ContainerState state_;
    TaskGroup watches_; ///< go on until they are stopped
    TaskGroup tasks_;
};

} // namespace cppvm::guest
