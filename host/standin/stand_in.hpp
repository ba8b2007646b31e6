#pragma once

#include "common/async/asio.hpp"
#include "common/os/child_process.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace cppvm {

/// What a stand-in lives in and looks like. Plain data.
struct StandInSpec {
    std::filesystem::path program; ///< what config::find_program gives for "cppvm-standin"
    int network_namespace = -1;    ///< borrowed; -1: ours
    int mount_namespace = -1;      ///< borrowed; -1: one with the program alone
    /// What ps and /proc show of it, as of its guest process. More than 64 KiB is left out.
    std::vector<std::string> arguments; ///< empty: the program's
    std::vector<std::string> environment;
    std::filesystem::path working_directory;
    Confinement::User user;
};

/// A host process that stands for one guest process: containerd is told its pid, and clients find
/// behind /proc/<pid> what they would find of the process itself: the pod's network namespace, the
/// container's files as root and working directory, its command line, environment and user. Nothing
/// of the host shows there, but for the process ids, which are the host's. Ends with us.
///
/// Owns: the process; the destructor is `end`. Thread: the loop's only.
class StandIn {
  public:
    /// Throws: Error naming the program and the step that failed.
    StandIn(const asio::any_io_executor& executor, const StandInSpec& spec);

    pid_t pid() const noexcept { return process_.pid(); }
    ProcessId id() const { return process_.id(); }

    /// Until it has ended, by `end` or because somebody killed it. One waiter at a time.
    /// Cancels: the wait.
    Awaitable<> wait();

    /// Kills and reaps it, so that signal 0 to the pid fails from now on. Idempotent.
    void end() noexcept { process_.end(); }

  private:
    ChildProcess process_;
};

} // namespace cppvm
