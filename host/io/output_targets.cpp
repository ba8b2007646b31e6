#include "host/io/output_targets.hpp"

#include "common/base/error.hpp"
#include "host/io/fifo.hpp"

namespace cppvm::io {

OutputTargets::OutputTargets(
    const asio::any_io_executor& executor,
    Logger logger,
    std::string containerd_namespace,
    std::string container_id
)
    : executor_(executor), logger_(std::move(logger)), namespace_(std::move(containerd_namespace)),
      container_id_(std::move(container_id)) {}

Awaitable<std::unique_ptr<OutputSink>> OutputTargets::open(std::string stream, StdioTarget target) {
    if (const auto* const path = std::get_if<PathTarget>(&target)) {
        co_return open_path(stream, path->path);
    }
    if (const auto* const log = std::get_if<LogFileTarget>(&target)) {
        co_return open_log_file(log->path);
    }
    if (auto* const logger = std::get_if<LoggerTarget>(&target)) {
        co_return co_await open_logger(std::move(stream), std::move(*logger));
    }
    if (auto* const address = std::get_if<StreamTarget>(&target)) {
        co_return co_await open_stream(std::move(*address));
    }
    co_return nullptr;
}

// By what the path is.
std::unique_ptr<OutputSink>
OutputTargets::open_path(std::string_view stream, const std::string& path) {
    const PathHandle handle(stream, path);
    if (handle.is_fifo() || handle.is_character_device()) {
        return std::make_unique<DescriptorSink>(executor_, handle);
    }
    if (!handle.is_regular()) {
        throw Error(
            Code::invalid_argument,
            "open " + std::string(stream) + " " + path + ": neither a fifo, a file nor a device"
        );
    }
    const std::pair identity(handle.status().st_dev, handle.status().st_ino);
    if (file_identity_ != identity) {
        file_ = std::make_shared<LogFile>(handle);
        file_identity_ = identity;
    }
    return std::make_unique<FileSink>(file_);
}

std::unique_ptr<OutputSink> OutputTargets::open_log_file(const std::string& path) {
    if (!log_file_ || log_file_path_ != path) {
        log_file_ = std::make_shared<LogFile>(path);
        log_file_path_ = path;
    }
    return std::make_unique<FileSink>(log_file_);
}

Awaitable<std::unique_ptr<OutputSink>>
OutputTargets::open_logger(std::string stream, LoggerTarget target) {
    if (!logging_process_) {
        logging_process_ = co_await LoggingProcess::start(
            executor_, std::move(target), namespace_, container_id_, LoggingProcess::Limits()
        );
    }
    co_return stream == "stdout" ? logging_process_->take_stdout()
                                 : logging_process_->take_stderr();
}

Awaitable<std::unique_ptr<OutputSink>> OutputTargets::open_stream(StreamTarget target) {
    for (const auto& stream : streams_) {
        if (stream->address() == target) {
            co_return std::make_unique<streaming::StreamSink>(stream);
        }
    }
    auto opened = co_await streaming::StreamOutput::open(logger_, std::move(target), namespace_);
    streams_.push_back(opened);
    co_return std::make_unique<streaming::StreamSink>(opened);
}

Awaitable<> OutputTargets::stop() {
    for (const auto& stream : streams_) {
        co_await stream->stop();
    }
    if (logging_process_) {
        try {
            co_await logging_process_->stop(logger_);
        } catch (const std::exception& error) {
            logger_.warn("Cannot end the logging program", {{"error", error.what()}});
        }
        logging_process_.reset();
    }
    file_.reset();
    log_file_.reset();
}

} // namespace cppvm::io
