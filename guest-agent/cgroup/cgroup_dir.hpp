#pragma once

#include "common/async/asio.hpp"
#include "common/base/unique_fd.hpp"
#include "common/log/logger.hpp"
#include "guest-agent/cgroup/cgroup_limits.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace cppvm::guest {

/// Enables the controllers that containers may be limited by for the children of `root`, as far as
/// the kernel offers them; what it refuses is logged, and reported when a limit needs it.
void enable_controllers(const std::filesystem::path& root, const Logger& logger);

/// One container's cgroup (v2).
/// Owns: the directory. `remove` must have been awaited before the destructor, which otherwise only
/// tries rmdir.
/// Thread: the loop's only.
class CgroupDir {
  public:
    /// Throws: Error; failed_precondition when the directory already exists.
    CgroupDir(const asio::any_io_executor& executor, std::filesystem::path path);
    CgroupDir(const CgroupDir&) = delete;
    CgroupDir& operator=(const CgroupDir&) = delete;
    ~CgroupDir();

    /// For clone3's CLONE_INTO_CGROUP.
    int fd() const noexcept { return directory_.get(); }

    /// Gives the JSON paths of what may be left out and was, as this kernel does not have it.
    /// Throws: Error; failed_precondition naming a controller that the guest does not have.
    std::vector<std::string> apply(const std::vector<CgroupWrite>& writes);

    /// The same for a cgroup in use: after a failure all is as it was.
    std::vector<std::string> change(const std::vector<CgroupWrite>& writes);

    /// Throws: Error (failed_precondition) if more memory is in use than is to be allowed.
    void check_memory(const oci::MemoryResources& memory) const;

    /// Lets a user make cgroups in it, and move processes among them, but change no limit of it
    /// (cgroups(7), "Cgroups delegation"). Throws: Error.
    void give_to(uid_t user);

    /// Pids (in the agent's pid namespace) of it and of the cgroups that the container made in it;
    /// of a thousand of them, so that a container cannot hold up the agent.
    std::vector<pid_t> processes() const;

    /// The cgroup, this one or one below, that a process is in. A container may have moved its
    /// processes down to use controllers itself; then this one takes no further process (EBUSY).
    /// Throws: Error (failed_precondition) if it is in none.
    UniqueFd open_cgroup_of(pid_t pid) const;

    /// SIGKILL for all of them at once, also for those that are being forked. Throws: Error.
    void kill();

    /// Stops all of them, or lets them go on; waits until that is so. What was not stopped in time
    /// goes on. Throws: Error (deadline_exceeded). Cancels: what was to be stopped goes on.
    Awaitable<> freeze(bool frozen, Deadline deadline);
    bool is_frozen() const noexcept { return frozen_; }

    /// kill, waits until they are gone, and removes the directory with what is in it. Idempotent.
    /// Throws: Error (deadline_exceeded) if a process does not die; other faults of the file
    /// system.
    Awaitable<> remove(Deadline deadline);

  private:
    void write(const CgroupWrite& write);
    Awaitable<> wait_event(std::string_view name, std::uint64_t value);

    asio::any_io_executor executor_;
    std::filesystem::path path_;
    UniqueFd directory_;
    bool frozen_ = false; ///< all are stopped, or are being
};

} // namespace cppvm::guest
