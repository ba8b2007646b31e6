#pragma once

#include "common/async/asio.hpp"
#include "common/base/unique_fd.hpp"
#include "common/os/confinement.hpp"
#include "common/os/process_id.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cppvm {

/// What to run: plain data.
struct ChildSpec {
    std::vector<std::string> arguments; ///< [0] is the program's absolute path, unless `path` is
    std::string path;                   ///< if not empty: the program's
    /// Descriptor of the program, borrowed, where it is not to be found by its path; arguments[0]
    /// is then only what it is told and shown as. Not for scripts.
    int program = -1;
    std::optional<std::vector<std::string>> environment; ///< "K=V"; nothing: ours
    /// Descriptors of ours and the numbers that the child has them under. 0, 1 and 2 are /dev/null
    /// unless named here; all others are closed in the child.
    std::vector<std::pair<int, int>> descriptors;
    bool die_with_parent =
        true; ///< SIGKILL when the thread that started it ends (PR_SET_PDEATHSIG)
    bool new_session = false;
    int network_namespace = -1; ///< descriptor of a network namespace to enter; borrowed
    int mount_namespace = -1;   ///< the same; its root becomes root and working directory
    /// If not empty: where it starts; where that cannot be, in the working directory that it has.
    std::filesystem::path working_directory;
    Confinement confinement;

    const std::string& program_path() const noexcept { return path.empty() ? arguments[0] : path; }
};

/// How a child ended.
struct ChildExit {
    int code = 0;   ///< exit code, if signal is 0
    int signal = 0; ///< the signal that ended it
};

/// "exit code 3" or "signal 9".
std::string to_text(const ChildExit& exit);

/// Owns one child process: the destructor kills it (SIGKILL) and reaps it.
/// Thread: the loop's only.
class ChildProcess {
  public:
    /// Starts it; returns once the program was executed.
    /// Throws: Error naming the program and the step (fork, setns, …, exec) that failed.
    ChildProcess(const asio::any_io_executor& executor, const ChildSpec& spec);
    ChildProcess(ChildProcess&&) noexcept;
    ChildProcess& operator=(ChildProcess&&) noexcept;
    ~ChildProcess();

    pid_t pid() const noexcept { return pid_; }
    ProcessId id() const;

    /// Until it has ended; reaps it. May be called again after. One waiter at a time.
    /// Cancels: the child goes on.
    Awaitable<ChildExit> wait();

    /// Kills (SIGKILL) and reaps it at once; a waiter wakes up. Idempotent. Blocks while the kernel
    /// tears the process down.
    void end() noexcept;

    /// Sends a signal; nothing happens if it has ended.
    void signal(int number) noexcept;

    /// Returns the child up: it goes on when this object ends, and is not reaped here.
    void detach() noexcept;

    /// SIGTERM, after `grace` SIGKILL, then wait. Idempotent.
    Awaitable<ChildExit> terminate(std::chrono::milliseconds grace);

  private:
    pid_t pid_ = -1;
    asio::posix::stream_descriptor pidfd_;
    std::optional<ChildExit> exit_;
};

} // namespace cppvm
