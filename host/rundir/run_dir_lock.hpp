#pragma once

#include "common/base/unique_fd.hpp"

#include <chrono>
#include <filesystem>
#include <optional>

namespace cppvm {

/// flock(2), exclusive, within `timeout` (0: one attempt). False if another holds it all the time.
/// Blocks. Throws: Error.
bool lock_within(int fd, std::chrono::milliseconds timeout, const std::filesystem::path& name);

/// A sandbox's run directory, and the lock in it (`lock`) that says whose it is: the daemon's for
/// life, and `delete`'s while it cleans up. The kernel drops the lock when its holder dies, so a
/// lock that is free proves that there is no daemon.
///
/// Owns: the lock. The directory stays until `remove`.
class RunDirLock {
  public:
    /// Makes the directory (0711, for QEMU's user must pass; its parent too) and takes the lock.
    /// Nothing if another process kept it for all of `timeout`. Blocks. Throws: Error.
    static std::optional<RunDirLock>
    take(const std::filesystem::path& run_dir, std::chrono::milliseconds timeout = {});

    /// The same for a directory that is there; nothing if there is none, too.
    static std::optional<RunDirLock>
    take_existing(const std::filesystem::path& run_dir, std::chrono::milliseconds timeout = {});

    const std::filesystem::path& run_dir() const noexcept { return run_dir_; }

    /// Writes `daemon.pid` with this process, for `delete` to find it, and takes back what a
    /// predecessor said with `mark_ending`. Throws: Error.
    void write_daemon_pid() const;

    /// Says for good that the daemon is on its way out and needs nobody's help: `delete` then waits
    /// for it behind containerd's back. Throws: Error.
    void mark_ending() const;

    /// True if there is nothing in the directory but what this class made.
    bool holds_nothing_else() const;

    /// Removes the directory with everything in it, then gives the lock up. Throws: Error
    /// (failed_precondition) if something is mounted below; the lock stays.
    void remove();

  private:
    RunDirLock(std::filesystem::path run_dir, UniqueFd fd)
        : run_dir_(std::move(run_dir)), fd_(std::move(fd)) {}

    static std::optional<RunDirLock>
    take(const std::filesystem::path& run_dir, std::chrono::milliseconds timeout, bool create);

    std::filesystem::path run_dir_;
    UniqueFd fd_;
};

/// Whether the directory's daemon called `mark_ending`.
bool is_ending(const std::filesystem::path& run_dir) noexcept;

/// Where `write_daemon_pid` writes.
std::filesystem::path daemon_pid_path(const std::filesystem::path& run_dir);

} // namespace cppvm
