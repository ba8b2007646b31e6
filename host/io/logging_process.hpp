#pragma once

#include "common/async/asio.hpp"
#include "common/log/logger.hpp"
#include "common/os/child_process.hpp"
#include "host/io/output_sink.hpp"
#include "host/io/stdio_target.hpp"

#include <memory>
#include <string>

namespace cppvm::io {

/// A program that takes a process's output (`binary://`): descriptor 3 is the read end of stdout, 4
/// that of stderr, 5 a pipe on which it says that it is ready; its environment is CONTAINER_ID and
/// CONTAINER_NAMESPACE and nothing else.
///
/// It is not killed with us: it sees the end of its input then, and can write down what it has.
/// Thread: the loop's only. Owns: the program; `stop` must be awaited, else it is killed at once.
class LoggingProcess {
  public:
    /// How long a logger may take.
    struct Limits {
        std::chrono::milliseconds ready{10'000}; ///< to say that it is ready
        std::chrono::milliseconds own_end{500};  ///< to end at the end of its input
        std::chrono::milliseconds stop{12'000};  ///< to end after SIGTERM, before SIGKILL
    };

    /// Starts the program and waits until it is ready: a byte or, but for v2, end of file.
    /// Throws: Error naming the program (deadline_exceeded: it did not get ready).
    /// Cancels: the program is killed.
    static Awaitable<std::unique_ptr<LoggingProcess>> start(
        asio::any_io_executor executor,
        LoggerTarget target,
        std::string containerd_namespace,
        std::string container_id,
        Limits limits
    );

    /// The sink of each stream; once.
    std::unique_ptr<OutputSink> take_stdout() { return std::move(stdout_); }
    std::unique_ptr<OutputSink> take_stderr() { return std::move(stderr_); }

    /// To be called after both sinks are gone. A moment for the program to end by itself, then
    /// SIGTERM, then SIGKILL. Idempotent.
    Awaitable<> stop(const Logger& logger);

  private:
    LoggingProcess(std::string program, ChildProcess child, Limits limits);

    std::string program_;
    ChildProcess child_;
    Limits limits_;
    std::unique_ptr<OutputSink> stdout_;
    std::unique_ptr<OutputSink> stderr_;
};

} // namespace cppvm::io
