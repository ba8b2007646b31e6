#pragma once

#include "common/async/asio.hpp"
#include "common/log/logger.hpp"
#include "host/io/file_sink.hpp"
#include "host/io/logging_process.hpp"
#include "host/io/output_sink.hpp"
#include "host/io/stdio_target.hpp"
#include "host/io/streaming/stream_output.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace cppvm::io {

/// What the outputs of one process go to. What two of them name is opened once: a file, a logging
/// program, a stream at a streaming server.
/// Owns: the logging program and the streams; `stop` must have been awaited, after the sinks are
/// gone. Thread: the loop's only.
class OutputTargets {
  public:
    /// Namespace and id go to the logging program's environment, the former to a streaming server
    /// as well.
    OutputTargets(
        const asio::any_io_executor& executor,
        Logger logger,
        std::string containerd_namespace,
        std::string container_id
    );

    /// A sink for the output `stream` ("stdout", "stderr"); null for a NullTarget.
    /// Throws: Error naming the stream and what it goes to. Cancels: `stop` is due all the same.
    Awaitable<std::unique_ptr<OutputSink>> open(std::string stream, StdioTarget target);

    /// Ends the logging program (up to 13 s, only if it does not end by itself) and the streams.
    /// Idempotent, does not throw.
    Awaitable<> stop();

  private:
    std::unique_ptr<OutputSink> open_path(std::string_view stream, const std::string& path);
    std::unique_ptr<OutputSink> open_log_file(const std::string& path);
    Awaitable<std::unique_ptr<OutputSink>> open_logger(std::string stream, LoggerTarget target);
    Awaitable<std::unique_ptr<OutputSink>> open_stream(StreamTarget target);

    asio::any_io_executor executor_;
    Logger logger_;
    std::string namespace_;
    std::string container_id_;
    std::shared_ptr<LogFile> file_; ///< of a path
    std::optional<std::pair<dev_t, ino_t>> file_identity_;
    std::shared_ptr<LogFile> log_file_; ///< of a `file://`
    std::string log_file_path_;
    std::unique_ptr<LoggingProcess> logging_process_;
    std::vector<std::shared_ptr<streaming::StreamOutput>> streams_;
};

} // namespace cppvm::io
