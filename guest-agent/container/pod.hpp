#pragma once

#include "common/base/unique_fd.hpp"
#include "guest-agent/container/reaper.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <sys/types.h>

namespace cppvm::guest {

/// The first process of the pid namespace that containers of the pod share. Its destructor kills
/// it, and with it whatever is left in the namespace; the Reaper does the rest.
class PodInit {
  public:
    PodInit(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
    PodInit(const PodInit&) = delete;
    PodInit& operator=(const PodInit&) = delete;
    ~PodInit();

    pid_t pid() const noexcept { return pid_; }
    int pidfd() const noexcept { return pidfd_.get(); }
    bool has_ended() const noexcept { return has_ended_; }
    void note_end() noexcept { has_ended_ = true; }

  private:
    pid_t pid_;
    UniqueFd pidfd_;
    bool has_ended_ = false;
};

/// What the pod's containers share that the machine does not have from its boot on: the file system
/// of their POSIX shared memory, and a pid namespace in which the agent is not.
/// Thread: the loop's only.
class Pod {
  public:
    Pod(Reaper& reaper, const std::filesystem::path& share, const std::filesystem::path& cgroup_root
    );

    /// Mounts the shared memory (wire::shm_directory below the share); 0: unmounts it. Of another
    /// size only when it is not there yet. Throws: Error.
    void set_shared_memory(std::uint64_t bytes);

    /// The pid namespace, made when there is none: it lives as long as somebody holds it, which is
    /// longer than any process could remember it. Throws: Error.
    std::shared_ptr<PodInit> take_init();

    void stop() noexcept;

  private:
    std::shared_ptr<PodInit> start_init();
    void unmount_shared_memory() noexcept;

    Reaper& reaper_;
    std::filesystem::path shared_memory_;
    bool has_shared_memory_ = false;
    std::filesystem::path cgroup_;
    std::weak_ptr<PodInit> init_;
};

} // namespace cppvm::guest
