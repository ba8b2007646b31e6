#pragma once

#include "guest-agent/container/container.hpp"
#include "guest-agent/container/shared_mounts.hpp"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cppvm::guest {

/// Names one process: a container's init when exec_id is empty.
struct ProcessName {
    std::string container_id;
    std::string exec_id;
};

/// What a container is made from. Borrows its texts.
struct CreateSpec {
    std::string_view oci;    ///< config.json, as the host prepared it
    std::string_view bundle; ///< what its hooks are told
    DiskRequest disks;
    std::vector<HostSocketSpec> sockets;
    std::vector<std::string> submounts; ///< as SharedMounts::look_at_submounts
    std::vector<std::string> pci_ports; ///< with PCI devices that it waits for
    SeccompProgram seccomp;
};

/// What a container or exec was made as.
struct CreateResult {
    pid_t pid = 0;
    std::vector<std::string> unsupported; ///< JSON paths
};

/// All containers of the machine, by id: what the RPC service calls.
/// Owns: the containers. `stop` must have been awaited before the destructor.
/// Thread: the loop's only. Requests and their texts come from the host, which is trusted; ids are
/// checked all the same, because they become names of cgroups.
class Containers {
  public:
    explicit Containers(ContainerContext context);

    /// Throws: Error: invalid_argument (id or spec), already_exists, failed_precondition (it is to
    /// share namespaces with a container that does not run), or what set-up failed with;
    /// then nothing is left.
    Awaitable<CreateResult> create(std::string id, CreateSpec spec, StdioRequest stdio);
    /// Throws: Error: not_found, failed_precondition.
    Awaitable<> start(std::string id);
    /// Throws: Error: not_found, already_exists, failed_precondition, invalid_argument.
    Awaitable<CreateResult> exec(ProcessName name, std::string_view process, StdioRequest stdio);
    /// Throws: Error (not_found).
    Awaitable<unsigned> wait(ProcessName name);
    /// As Container::forget_exec; returns at once if the container is gone.
    Awaitable<> forget_exec(ProcessName name);
    /// Throws: Error: not_found (also if it has exited), invalid_argument (no such signal).
    void signal(const ProcessName& name, unsigned number, bool all);
    /// Throws: Error: not_found, invalid_argument.
    void resize(const ProcessName& name, unsigned width, unsigned height);
    /// Throws: Error (not_found).
    std::vector<ProcessEntry> list(const std::string& id);
    /// As Container::freeze. Throws: Error (not_found).
    Awaitable<> freeze(std::string id, bool frozen);
    /// `resources` is JSON. Returns what has no effect. As Container::update. Throws: Error
    /// (not_found, invalid_argument).
    std::vector<std::string> update(const std::string& id, std::string_view resources);
    /// As SharedMounts::look_again.
    void look_again(std::string_view path) const noexcept { shared_.look_again(path); }
    /// Throws: Error (not_found).
    CgroupStats stats(const std::string& id);
    /// Throws: Error: not_found, failed_precondition (it runs).
    Awaitable<> remove(ProcessName name);

    std::size_t size() const noexcept { return containers_.size(); }

    /// Kills and removes all of them.
    Awaitable<> stop();

  private:
    std::shared_ptr<Container> find(const std::string& id) const;
    std::shared_ptr<Process> find(const ProcessName& name) const;
    void join(ContainerSpec& parts, const oci::Linux& spec) const;

    ContainerContext context_;
    SharedMounts shared_;
    std::map<std::string, std::shared_ptr<Container>> containers_;
};

/// Letters, digits, '.', '_' and '-', not first a '.', at most 128.
bool is_valid_id(std::string_view id) noexcept;

} // namespace cppvm::guest
