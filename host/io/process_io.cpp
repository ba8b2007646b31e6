#include "host/io/process_io.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/stream/read_some.hpp"
#include "host/io/file_sink.hpp"
#include "host/io/stdio_target.hpp"

#include <utility>

namespace cppvm::io {

namespace {

// Of an input stream: what may be on its way to the guest.
constexpr std::size_t input_capacity = 128UL * 1024;

// A plain path of an output stream: its sink, by what the path is. `other` is the file that the
// other stream writes to, if it does; the same file is opened once.
std::unique_ptr<OutputSink> open_path_sink(
    const asio::any_io_executor& executor,
    std::string_view stream,
    const std::string& path,
    std::shared_ptr<LogFile>& file,
    std::optional<std::pair<dev_t, ino_t>>& file_identity
) {
    const PathHandle handle(stream, path);
    if (handle.is_fifo() || handle.is_character_device()) {
        return std::make_unique<DescriptorSink>(executor, handle);
    }
    if (!handle.is_regular()) {
        throw Error(
            Code::invalid_argument,
            "open " + std::string(stream) + " " + path + ": neither a fifo, a file nor a device"
        );
    }
    const std::pair identity(handle.status().st_dev, handle.status().st_ino);
    if (file_identity != identity) {
        file = std::make_shared<LogFile>(handle);
        file_identity = identity;
    }
    return std::make_unique<FileSink>(file);
}

} // namespace

ProcessIo::ProcessIo(const asio::any_io_executor& executor, Logger logger)
    : executor_(executor), logger_(std::move(logger)), outputs_ended_(executor), stopped_(executor),
      tasks_(executor, logger_) {}

ProcessIo::~ProcessIo() = default;

Awaitable<std::unique_ptr<ProcessIo>> ProcessIo::open(
    asio::any_io_executor executor,
    Logger logger,
    StdioSpec spec,
    std::string containerd_namespace,
    std::string container_id
) {
    std::unique_ptr<ProcessIo> io(new ProcessIo(executor, std::move(logger)));
    io->open_input(spec.stdin_uri);
    co_await io->open_outputs(
        std::move(spec), std::move(containerd_namespace), std::move(container_id)
    );
    co_return io;
}

void ProcessIo::open_input(const std::string& uri) {
    const StdioTarget target = parse_stdio_target("stdin", uri);
    if (std::holds_alternative<NullTarget>(target)) {
        return;
    }
    const auto* const path = std::get_if<PathTarget>(&target);
    if (path == nullptr) {
        throw Error(
            Code::invalid_argument, "open stdin '" + uri + "': input comes from fifos only"
        );
    }
    input_ = std::make_unique<InputFifo>(executor_, PathHandle("stdin", path->path));
}

Awaitable<>
ProcessIo::open_outputs(StdioSpec spec, std::string containerd_namespace, std::string id) {
    StdioTarget out = parse_stdio_target("stdout", spec.stdout_uri);
    StdioTarget err;
    if (std::holds_alternative<LogFileTarget>(out) || std::holds_alternative<LoggerTarget>(out)) {
        err = out;
    } else if (!spec.terminal) {
        err = parse_stdio_target("stderr", spec.stderr_uri);
    }
    if (spec.terminal) {
        err = NullTarget{};
    }

    std::shared_ptr<LogFile> file;
    std::optional<std::pair<dev_t, ino_t>> file_identity;
    outputs_[0].wanted = !std::holds_alternative<NullTarget>(out);
    outputs_[1].wanted = !std::holds_alternative<NullTarget>(err);
    const std::pair<const char*, StdioTarget*> streams[] = {{"stdout", &out}, {"stderr", &err}};
    for (std::size_t i = 0; i < std::size(streams); ++i) {
        const auto& [stream, target] = streams[i];
        if (const auto* const path = std::get_if<PathTarget>(target)) {
            outputs_[i].sink = open_path_sink(executor_, stream, path->path, file, file_identity);
        } else if (const auto* const log = std::get_if<LogFileTarget>(target)) {
            if (i == 0 || out != *target) {
                file = std::make_shared<LogFile>(log->path);
            }
            outputs_[i].sink = std::make_unique<FileSink>(file);
        } else if (const auto* const logger = std::get_if<LoggerTarget>(target)) {
            if (!logging_process_) {
                logging_process_ = co_await LoggingProcess::start(
                    executor_, *logger, containerd_namespace, id, LoggingProcess::Limits()
                );
            }
            outputs_[i].sink =
                i == 0 ? logging_process_->take_stdout() : logging_process_->take_stderr();
        }
    }
}

void ProcessIo::attach(
    std::optional<GuestStream> in, std::optional<GuestStream> out, std::optional<GuestStream> err
) {
    if (input_ && in) {
        tasks_.spawn("stdin", run_input(std::move(*in)));
    } else {
        end_input();
    }
    attach_output(outputs_[0], std::move(out), "stdout");
    attach_output(outputs_[1], std::move(err), "stderr");
}

void ProcessIo::attach_output(Output& output, std::optional<GuestStream> stream, const char* name) {
    if (output.sink && stream) {
        output.pump = std::make_unique<OutputPump>(
            std::move(*stream), std::move(output.sink), logger_.with({{"stream", name}})
        );
        ++running_outputs_;
        tasks_.spawn(name, run_output(output));
    }
    output.sink.reset();
}

void ProcessIo::close_stdin() noexcept {
    if (input_) {
        input_->drop_write_end();
    }
}

void ProcessIo::end_input() noexcept {
    if (input_) {
        input_->close();
    }
}

// Until the guest has all of it, or the process reads no more; then writers shall see that as they
// would on a pipe.
Awaitable<> ProcessIo::run_input(GuestStream stream) {
    stream::StreamSender sender(executor_, input_capacity);
    std::optional<stream::Connection> first = stream::Connection{stream.socket, 0};
    try {
        const auto end = co_await sender.run(
            [this](stream::SentBytes& bytes) { return read_input(bytes); },
            [&]() -> Awaitable<std::optional<stream::Connection>> {
                if (first) {
                    co_return std::exchange(first, std::nullopt);
                }
                co_return co_await stream.resume(0);
            }
        );
        if (end == stream::StreamSender::End::broken) {
            logger_.warn("Guest confirmed input that was never sent, input stream closed");
        }
    } catch (const boost::system::system_error& error) {
        // Closed by the owner: an ordinary way for an input stream to end. Also the error of a
        // cancellation, after which nothing is awaited any more.
        logger_.debug("Input stream ended", {{"reason", error.code().message()}});
    } catch (const Error& error) {
        logger_.warn("Cannot read a process's input", {{"error", error.message()}});
    }
    end_input();
}

Awaitable<bool> ProcessIo::read_input(stream::SentBytes& bytes) {
    co_return co_await stream::read_some(
        bytes,
        [this](std::span<std::byte> room) { return input_->read_some(room); },
        [this] { return input_->wait_readable(); }
    ) > 0;
}

Awaitable<> ProcessIo::run_output(Output& output) {
    co_await output.pump->copy();
    if (--running_outputs_ == 0) {
        outputs_ended_.set();
    }
    co_await output.pump->finish();
}

Awaitable<bool> ProcessIo::drained(Deadline deadline) {
    end_input();
    if (running_outputs_ == 0) {
        co_return true;
    }
    if (!co_await ends_by(outputs_ended_.wait(), deadline)) {
        for (Output& output : outputs_) {
            if (output.pump) {
                output.pump->last_call();
            }
        }
        co_return false;
    }
    co_return true;
}

Awaitable<> ProcessIo::stop() {
    co_await stopped_.run(do_stop());
}

Awaitable<> ProcessIo::do_stop() {
    co_await tasks_.stop();
    end_input();
    for (Output& output : outputs_) {
        output.sink.reset();
        output.pump.reset();
    }
    if (logging_process_) {
        try {
            co_await logging_process_->stop(logger_);
        } catch (const std::exception& error) {
            logger_.warn("Cannot end the logging program", {{"error", error.what()}});
        }
        logging_process_.reset();
    }
}

} // namespace cppvm::io
