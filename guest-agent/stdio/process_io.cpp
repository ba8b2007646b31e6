#include "guest-agent/stdio/process_io.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/wire/stream_frame.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <span>

namespace cppvm::guest {

namespace {

using Descriptor = asio::posix::stream_descriptor;

/// How long the host may take to close its side after the end of an output stream.
constexpr auto end_grace = std::chrono::seconds(10);

Descriptor adopt(const asio::any_io_executor& executor, UniqueFd fd) {
    set_nonblocking(fd.get(), true);
    Descriptor descriptor(executor, fd.get());
    static_cast<void>(fd.release());
    return descriptor;
}

/// Until the other side closes; what it sends is thrown away.
Awaitable<> wait_closed(StreamSocket& connection) {
    std::array<std::uint8_t, 64> nothing{};
    for (;;) {
        auto [error, size] = co_await connection.async_read_some(asio::buffer(nothing), use_tuple);
        if (error) {
            co_return;
        }
    }
}

Awaitable<> send_end(StreamSocket& connection) {
    const auto end = wire::encode_frame_header(0);
    auto [error, size] = co_await asio::async_write(connection, asio::buffer(end), use_tuple);
    if (!error) {
        co_await wait_closed(connection);
    }
}

/// Reads and sends until the source ends (true) or the host hangs up (false).
Awaitable<bool> copy_out(StreamSocket& connection, Descriptor& source) {
    // Header and payload go out in one write.
    const auto buffer =
        std::make_unique<std::uint8_t[]>(wire::frame_header_size + wire::max_frame_payload);
    for (;;) {
        // A terminal whose other side is closed gives EIO: the end, as for a pipe.
        auto [read_error, size] = co_await source.async_read_some(
            asio::buffer(buffer.get() + wire::frame_header_size, wire::max_frame_payload), use_tuple
        );
        if (read_error) {
            co_return true;
        }
        const auto header = wire::encode_frame_header(static_cast<std::uint32_t>(size));
        std::copy(header.begin(), header.end(), buffer.get());
        auto [write_error, written] = co_await asio::async_write(
            connection, asio::buffer(buffer.get(), wire::frame_header_size + size), use_tuple
        );
        if (write_error) {
            co_return false;
        }
    }
}

Awaitable<> run_output(StreamSocket connection, Descriptor source) {
    const bool ended = co_await copy_out(connection, source);
    source.close();
    if (ended) {
        static_cast<void>(co_await ends_by(send_end(connection), deadline_in(end_grace)));
    }
}

Awaitable<> run_discard(Descriptor source) {
    std::array<std::uint8_t, 4096> nothing{};
    for (;;) {
        auto [error, size] = co_await source.async_read_some(asio::buffer(nothing), use_tuple);
        if (error) {
            co_return;
        }
    }
}

/// Receives and writes until the stream ends, the host hangs up or the process closes its end.
Awaitable<> copy_in(StreamSocket& connection, Descriptor& sink) {
    const auto payload = std::make_unique<std::uint8_t[]>(wire::max_frame_payload);
    for (;;) {
        std::array<std::uint8_t, wire::frame_header_size> header{};
        auto [header_error, header_size] =
            co_await asio::async_read(connection, asio::buffer(header), use_tuple);
        if (header_error) {
            co_return;
        }
        const auto length =
            wire::decode_frame_header(std::span<const std::uint8_t, wire::frame_header_size>(header)
            );
        if (!length || *length == 0) {
            co_return;
        }
        const auto body = asio::buffer(payload.get(), *length);
        auto [body_error, body_size] = co_await asio::async_read(connection, body, use_tuple);
        if (body_error) {
            co_return;
        }
        auto [write_error, written] = co_await asio::async_write(sink, body, use_tuple);
        if (write_error) {
            co_return;
        }
    }
}

/// Until the process has closed its end of a pipe, or all have left the terminal: poll(2) reports
/// that without anything being written.
Awaitable<> wait_sink_closed(Descriptor& sink) {
    co_await sink.async_wait(asio::posix::descriptor_base::wait_error, asio::use_awaitable);
}

Awaitable<> run_input(StreamSocket connection, Descriptor sink) {
    auto executor = co_await asio::this_coro::executor;
    auto group = asio::experimental::make_parallel_group(
        asio::co_spawn(executor, copy_in(connection, sink), asio::deferred),
        asio::co_spawn(executor, wait_sink_closed(sink), asio::deferred)
    );
    co_await group.async_wait(asio::experimental::wait_for_one(), use_tuple);
    // Closed before the connection: who sees that end knows that the process has its end of file.
    sink.close();
}

} // namespace

ProcessIo::ProcessIo(const asio::any_io_executor& executor, Logger logger)
    : executor_(executor), tasks_(executor, std::move(logger)) {}

void ProcessIo::add_input(StreamSocket connection, UniqueFd sink) {
    tasks_.spawn(
        "input stream", run_input(std::move(connection), adopt(executor_, std::move(sink)))
    );
}

void ProcessIo::add_output(StreamSocket connection, UniqueFd source) {
    tasks_.spawn(
        "output stream", run_output(std::move(connection), adopt(executor_, std::move(source)))
    );
}

void ProcessIo::discard_output(UniqueFd source) {
    tasks_.spawn("discarded stream", run_discard(adopt(executor_, std::move(source))));
}

Awaitable<> ProcessIo::wait_ended() {
    co_await tasks_.wait_empty();
}

Awaitable<> ProcessIo::stop() {
    co_await tasks_.stop();
}

} // namespace cppvm::guest
