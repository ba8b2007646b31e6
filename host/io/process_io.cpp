#include "host/io/process_io.hpp"

#include "common/async/timeout.hpp"
#include "common/async/with_undo.hpp"
#include "common/base/error.hpp"
#include "common/stream/read_some.hpp"
#include "host/io/streaming/stream_input.hpp"

#include <algorithm>
#include <utility>

namespace cppvm::io {

namespace {

// Of an input stream: what may be on its way to the guest.
constexpr std::size_t input_capacity = 128UL * 1024;

} // namespace

ProcessIo::ProcessIo(
    const asio::any_io_executor& executor,
    Logger logger,
    std::string containerd_namespace,
    std::string container_id
)
    : executor_(executor), logger_(std::move(logger)), namespace_(std::move(containerd_namespace)),
      targets_(executor, logger_, namespace_, std::move(container_id)), outputs_ended_(executor),
      outputs_closed_(executor), stopped_(executor), tasks_(executor, logger_) {}

ProcessIo::~ProcessIo() = default;

Awaitable<std::unique_ptr<ProcessIo>> ProcessIo::open(
    asio::any_io_executor executor,
    Logger logger,
    StdioSpec spec,
    std::string containerd_namespace,
    std::string container_id
) {
    std::unique_ptr<ProcessIo> io(new ProcessIo(
        executor, std::move(logger), std::move(containerd_namespace), std::move(container_id)
    ));
    co_await with_undo(io->open_all(std::move(spec)), [&io] { return io->stop(); });
    co_return io;
}

Awaitable<> ProcessIo::open_all(StdioSpec spec) {
    co_await open_input(spec.stdin_uri);
    const StdioTarget out = parse_stdio_target("stdout", spec.stdout_uri);
    StdioTarget err;
    if (spec.terminal) {
        err = NullTarget{};
    } else if (std::holds_alternative<LogFileTarget>(out) ||
               std::holds_alternative<LoggerTarget>(out)) {
        err = out;
    } else {
        err = parse_stdio_target("stderr", spec.stderr_uri);
    }
    outputs_[0].sink = co_await targets_.open("stdout", out);
    outputs_[1].sink = co_await targets_.open("stderr", err);
    for (Output& output : outputs_) {
        output.wanted = output.sink != nullptr;
    }
}

Awaitable<> ProcessIo::open_input(std::string uri) {
    const StdioTarget target = parse_stdio_target("stdin", uri);
    if (const auto* const stream = std::get_if<StreamTarget>(&target)) {
        input_ = co_await streaming::StreamInput::open(
            logger_.with({{"stream", "stdin"}}), *stream, namespace_
        );
    } else if (const auto* const path = std::get_if<PathTarget>(&target)) {
        input_ = std::make_unique<InputFifo>(executor_, PathHandle("stdin", path->path));
    } else if (!std::holds_alternative<NullTarget>(target)) {
        throw Error(
            Code::invalid_argument,
            "open stdin '" + uri + "': input comes from fifos and ttrpc+unix:// only"
        );
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
        ++open_outputs_;
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
    if (--open_outputs_ == 0) {
        outputs_closed_.set();
    }
}

std::uint64_t ProcessIo::received() const noexcept {
    std::uint64_t all = 0;
    for (const Output& output : outputs_) {
        all += output.pump ? output.pump->received() : 0;
    }
    return all;
}

Awaitable<> ProcessIo::delivered(Deadline deadline) {
    end_input();
    while (running_outputs_ > 0) {
        const std::uint64_t before = received();
        const Deadline patience = std::min(deadline, deadline_in(max_silence));
        if (!co_await ends_by(outputs_ended_.wait(), patience) &&
            (patience == deadline || received() == before)) {
            co_return;
        }
    }
    if (open_outputs_ > 0) {
        co_await ends_by(outputs_closed_.wait(), deadline);
    }
}

Awaitable<bool> ProcessIo::ended() {
    end_input();
    if (running_outputs_ > 0) {
        co_await outputs_ended_.wait();
    }
    co_return !cut_off_;
}

Awaitable<bool> ProcessIo::drained(Deadline deadline) {
    end_input();
    if (running_outputs_ > 0 && !co_await ends_by(outputs_ended_.wait(), deadline)) {
        cut_off_ = true;
        for (Output& output : outputs_) {
            if (output.pump) {
                output.pump->last_call();
            }
        }
    }
    co_return !cut_off_;
}

Awaitable<> ProcessIo::stop() {
    co_await stopped_.run(do_stop());
}

Awaitable<> ProcessIo::do_stop() {
    co_await tasks_.stop();
    if (input_) {
        co_await input_->stop();
    }
    for (Output& output : outputs_) {
        output.sink.reset();
        output.pump.reset();
    }
    co_await targets_.stop();
}

} // namespace cppvm::io
