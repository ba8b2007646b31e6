#pragma once

#include "common/async/asio.hpp"
#include "common/os/child_process.hpp"

#include <filesystem>

namespace cppvm {

/// A host process that stands for one guest process: containerd is told its pid, and finds the
/// pod's network namespace behind /proc/<pid>/ns/net. Ends with us.
///
/// Owns: the process; the destructor is `end`. Thread: the loop's only.
class StandIn {
  public:
    /// The network namespace that it lives in.
    struct Network {
        int namespace_fd = -1;      ///< borrowed; -1: none to enter
        bool new_namespace = false; ///< a new one of its own
    };

    /// `program` is what config::find_program gives for "cppvm-standin". Throws: Error naming the
    /// program and the step that failed.
    StandIn(
        const asio::any_io_executor& executor,
        const std::filesystem::path& program,
        const Network& network
    );

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
