#include "host/io/logging_process.hpp"

#include "common/async/adopt.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/os/pipe.hpp"
#include "host/io/fifo.hpp"

#include <array>
#include <csignal>
#include <fcntl.h>

namespace cppvm::io {

namespace {

// True: a byte came; false: end of file.
Awaitable<bool> wait_ready_byte(asio::any_io_executor executor, UniqueFd read_end) {
    set_nonblocking(read_end.get(), true);
    auto ready = to_descriptor(executor, std::move(read_end));
    std::array<char, 1> byte{};
    auto [error, size] = co_await ready.async_read_some(asio::buffer(byte), use_tuple);
    if (error && error != asio::error::eof) {
        throw boost::system::system_error(error);
    }
    co_return size == 1;
}

} // namespace

LoggingProcess::LoggingProcess(std::string program, ChildProcess child, Limits limits)
    : program_(std::move(program)), child_(std::move(child)), limits_(limits) {}

Awaitable<std::unique_ptr<LoggingProcess>> LoggingProcess::start(
    asio::any_io_executor executor,
    LoggerTarget target,
    std::string containerd_namespace,
    std::string container_id,
    Limits limits
) {
    const std::string program = target.arguments.at(0);
    Pipe out = make_pipe(program);
    Pipe err = make_pipe(program);
    Pipe ready = make_pipe(program);
    ChildSpec spec;
    spec.arguments = std::move(target.arguments);
    spec.environment = {
        "CONTAINER_ID=" + container_id, "CONTAINER_NAMESPACE=" + containerd_namespace
    };
    spec.descriptors = {{out.read.get(), 3}, {err.read.get(), 4}, {ready.write.get(), 5}};
    spec.die_with_parent = false;
    std::unique_ptr<LoggingProcess> process;
    try {
        process.reset(new LoggingProcess(program, ChildProcess(executor, spec), limits));
        out.read.reset();
        err.read.reset();
        ready.write.reset();
        const bool reported = co_await with_timeout(
            wait_ready_byte(executor, std::move(ready.read)),
            deadline_in(limits.ready),
            "wait until it is ready"
        );
        if (!reported && target.must_report_ready) {
            throw Error(
                Code::failed_precondition, "it closed descriptor 5 without saying that it is ready"
            );
        }
    } catch (...) {
        rethrow_with_context("start logging program " + program);
    }
    process->stdout_ = std::make_unique<DescriptorSink>(
        executor, std::move(out.write), "logging program " + program
    );
    process->stderr_ = std::make_unique<DescriptorSink>(
        executor, std::move(err.write), "logging program " + program
    );
    co_return process;
}

Awaitable<> LoggingProcess::stop(const Logger& logger) {
    stdout_.reset();
    stderr_.reset();
    // A logger that ends at the end of its input shall not be cut off while it writes its last
    // lines.
    if (co_await ends_by(child_.wait(), deadline_in(limits_.own_end))) {
        co_return;
    }
    const ChildExit exit = co_await child_.terminate(limits_.stop);
    if (exit.signal == SIGKILL) {
        logger.warn("Logging program did not end, killed it", {{"program", program_}});
    }
}

} // namespace cppvm::io
