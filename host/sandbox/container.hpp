#pragma once

#include "common/async/blocking.hpp"
#include "common/async/task_group.hpp"
#include "host/agent/agent_connection.hpp"
#include "host/sandbox/guest_spec.hpp"
#include "host/sandbox/process.hpp"
#include "host/sandbox/rollback.hpp"
#include "host/storage/share.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace cppvm::sandbox {

/// What containerd asks for with Create. Plain data.
struct ContainerSpec {
    std::string id;
    std::filesystem::path bundle;
    std::vector<storage::MountSpec> rootfs;
    io::StdioSpec stdio;
};

/// What a container needs of its sandbox, which outlives it.
struct ContainerEnvironment {
    asio::any_io_executor executor;
    Logger logger;
    BlockingPool& blocking;
    TaskEventSink& events;
    std::filesystem::path stand_in_program;
    std::string containerd_namespace; ///< for logging binaries
    /// The share, once it exists; throws why not.
    std::function<Awaitable<storage::Share*>()> share;
    /// The agent, once the guest is up; throws why not.
    std::function<Awaitable<agent::AgentConnection*>()> agent;
    /// The last resort against a guest that does not answer: every process in it ends.
    std::function<Awaitable<>()> destroy_machine;
};

/// One process as `Container::processes` lists it.
struct ProcessEntry {
    pid_t pid = 0;       ///< host pid of its stand-in
    std::string exec_id; ///< of an exec; empty otherwise
};

/// A container in the guest: its init, its execs, its part of the share.
///
/// Operations that change something run to their end: they must not be cancelled (the API shields
/// them), and each wait in them is bounded. On failure what was done is undone.
/// Throws: Error with the codes of the Task API (not_found, already_exists, failed_precondition,
/// …). Thread: the loop's only.
class Container {
  public:
    Container(ContainerEnvironment environment, ContainerSpec spec);
    Container(const Container&) = delete;
    Container& operator=(const Container&) = delete;
    ~Container();

    const ContainerSpec& spec() const noexcept { return spec_; }

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

    Awaitable<> resize_console(std::string exec_id, std::uint32_t width, std::uint32_t height);

    void close_stdin(const std::string& exec_id);

    /// All processes in the container, each with a host pid of its own. Never empty: a guest that
    /// does not answer, or an init that has exited, gives the init alone.
    Awaitable<std::vector<ProcessEntry>> processes();

    /// Drops everything on the host without asking the guest: for the sandbox's own end.
    Awaitable<> abandon();

  private:
    using ProcessHandle = std::shared_ptr<Process>;

    ProcessHandle find(const std::string& exec_id) const;
    ProcessHandle find_running_init(std::string_view operation) const;

    Awaitable<> prepare();
    Awaitable<> prepare_storage(const GuestSpec& guest_spec);
    Awaitable<agent::v1::Stdio>
    open_stdio(const ProcessHandle& process, agent::AgentConnection& agent);
    void report_not_honoured(const Process& process, const std::vector<std::string>& paths) const;
    Awaitable<> open_io(ProcessHandle process);
    void start_stand_in(const ProcessHandle& process);
    std::unique_ptr<StandIn> make_stand_in(const network::NamespaceSpec& network) const;
    Awaitable<> start_init();
    Awaitable<> start_exec(ProcessHandle process);

    Awaitable<> watch_init();
    Awaitable<> watch_exec(ProcessHandle process, agent::ExecEvents events);
    Awaitable<std::uint32_t> status_of_init();
    Awaitable<std::uint32_t> status_or_killed(ProcessHandle process, Awaitable<std::uint32_t> wait);
    Awaitable<> finish(ProcessHandle process, Exit exit);
    Awaitable<> finish_execs();
    Awaitable<> finish_io(ProcessHandle process);
    Awaitable<> stop_io(ProcessHandle process, std::chrono::milliseconds grace);
    Awaitable<> kill_created();
    Awaitable<> delete_in_guest(ProcessHandle process);

    ContainerEnvironment environment_;
    ContainerSpec spec_;
    Logger logger_;
    GuestSpec guest_spec_;
    ProcessHandle init_;
    std::map<std::string, ProcessHandle> execs_;
    /// Stand-ins of guest processes that are neither init nor exec, by guest pid: made by
    /// `processes`.
    std::map<std::int32_t, std::unique_ptr<StandIn>> other_stand_ins_;
    bool removing_ = false;
    Rollback undo_;
    TaskGroup tasks_;
};

} // namespace cppvm::sandbox
