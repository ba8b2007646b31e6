#pragma once

#include "common/base/unique_fd.hpp"
#include "proto/cppvm/agent.pb.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <sys/types.h>
#include <utility>

namespace cppvm::testing {

/// A real agent as PID 1 of new pid, mount and cgroup namespaces, with a tmpfs as the host's share
/// and a busybox rootfs in it. The constructor returns once it said hello.
/// Owns: the process, which takes everything in its namespace along, and its directory and cgroup;
/// the destructor fails the test if the cgroup is not empty.
/// The test program itself moves into a mount namespace of its own first, so nothing can stay.
class AgentProcess {
  public:
    /// `lost_hellos`: how many of its connections are closed on it before one is served.
    explicit AgentProcess(int lost_hellos = 0);
    AgentProcess(const AgentProcess&) = delete;
    AgentProcess& operator=(const AgentProcess&) = delete;
    ~AgentProcess();

    pid_t pid() const noexcept { return pid_; }
    std::string socket_path() const { return (directory_ / "agent.sock").native(); }
    std::filesystem::path share() const { return directory_ / "share"; }
    std::filesystem::path cgroup() const { return cgroup_; }
    const agent::v2::Hello& hello() const noexcept { return hello_; }

    /// The host's numbers for processes, by container and exec id, over all its connections.
    std::map<std::pair<std::string, std::string>, std::uint64_t> process_numbers;
    std::uint64_t last_process_number = 0;

    /// Makes `<share>/<id>/rootfs` with busybox and its applets' links; gives its path.
    std::filesystem::path make_rootfs(const std::string& id) const;

    /// Whether it waits for something to happen.
    bool is_idle() const;
    /// Descriptors that the agent has open, with what they refer to.
    std::map<int, std::string> open_descriptors() const;
    /// Its descendants, zombies too, each with its parent.
    std::map<pid_t, pid_t> descendants() const;
    std::size_t processes() const { return descendants().size(); }
    /// Mounts of the agent's namespace below its own directory. Others come and go: a mount
    /// vanishes everywhere when its directory is removed by somebody who does not see it.
    std::size_t mounts() const;
    std::size_t cgroups() const;

    /// Waits until the agent has ended; gives the status of waitpid(2). At most 10 s.
    int wait_end();

  private:
    void start(const std::filesystem::path& hello_path);

    std::filesystem::path directory_;
    std::filesystem::path cgroup_;
    pid_t pid_ = -1;
    UniqueFd pidfd_;
    agent::v2::Hello hello_;
};

} // namespace cppvm::testing
