#pragma once

#include "common/async/asio.hpp"
#include "common/base/unique_fd.hpp"
#include "common/os/child_process.hpp"
#include "host/vm/directory_watch.hpp"

#include <filesystem>
#include <string>

namespace cppvm::vm {

/// A program that serves one machine. What it says is kept for an error's text; a file tells its
/// pid to whoever cleans up after a killed owner.
///
/// Owns: the process, which the destructor kills, and the pid file.
/// Thread: the loop's only.
class HelperProcess {
  public:
    /// Starts it; `spec` leaves its standard output and error to this. Throws: Error.
    HelperProcess(
        const asio::any_io_executor& executor, ChildSpec spec, std::filesystem::path pid_file
    );
    HelperProcess(const HelperProcess&) = delete;
    HelperProcess& operator=(const HelperProcess&) = delete;
    ~HelperProcess();

    pid_t pid() const noexcept { return process_.pid(); }

    /// Until it has ended. One waiter at a time. Cancels: the process goes on.
    Awaitable<ChildExit> wait();

    /// Until it has made its socket `path`. `watch`: of that directory, from before the process
    /// began. Throws: Error with its own words if it ends instead; deadline_exceeded.
    /// Cancels: the process goes on.
    Awaitable<> wait_socket(std::filesystem::path path, DirectoryWatch& watch, Deadline deadline);

    /// "<path> ended with exit code 1: <what it said last>", all in one line. Once: it takes what
    /// was said.
    std::string describe(const ChildExit& exit);

  private:
    Awaitable<> throw_when_ended();
    ChildProcess start(const asio::any_io_executor& executor, ChildSpec spec);

    std::string program_;
    std::filesystem::path pid_file_;
    UniqueFd output_;
    ChildProcess process_;
};

} // namespace cppvm::vm
