#include "host/io/stream_pump.hpp"

#include "common/base/error.hpp"
#include "common/base/scope_exit.hpp"
#include "common/wire/stream_frame.hpp"

#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <memory>

namespace cppvm::io {

namespace {

void rethrow_abort(const boost::system::error_code& error) {
    if (error == asio::error::operation_aborted) {
        throw boost::system::system_error(error);
    }
}

void close(StreamSocket& socket) noexcept {
    boost::system::error_code ignored;
    socket.close(ignored);
}

} // namespace

OutputPump::OutputPump(StreamSocket socket, std::unique_ptr<OutputSink> sink, Logger logger)
    : socket_(std::move(socket)), sink_(std::move(sink)), logger_(std::move(logger)) {}

Awaitable<> OutputPump::copy() {
    for (;;) {
        const auto length = co_await read_header();
        if (!length) {
            break;
        }
        const bool more = co_await copy_payload(*length);
        if (!more) {
            break;
        }
    }
    close(socket_);
}

Awaitable<> OutputPump::finish() {
    co_await sink_->finish();
    sink_.reset();
}

void OutputPump::last_call() noexcept {
    last_call_ = true;
    if (reading_) {
        boost::system::error_code ignored;
        socket_.cancel(ignored); // the read begins anew, with its time limited
    }
}

// One read; after the last call only if the guest is not silent for too long.
Awaitable<std::pair<boost::system::error_code, std::size_t>>
OutputPump::read_some(asio::mutable_buffer buffer) {
    reading_ = true;
    const ScopeExit done([this] { reading_ = false; });
    if (!last_call_) {
        auto [error, size] = co_await socket_.async_read_some(buffer, use_tuple);
        co_return std::pair(error, size);
    }
    const auto begin = std::chrono::steady_clock::now();
    const ScopeExit count_time([this, begin] {
        last_time_ -= std::chrono::steady_clock::now() - begin;
    });
    asio::steady_timer timer(
        socket_.get_executor(),
        std::min<std::chrono::steady_clock::duration>(max_silence, last_time_)
    );
    auto [order, error, size, timer_error] =
        co_await asio::experimental::make_parallel_group(
            socket_.async_read_some(buffer, asio::deferred), timer.async_wait(asio::deferred)
        )
            .async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
    if (error == asio::error::operation_aborted && order[0] == 1 && !timer_error) {
        co_return std::pair(make_error_code(asio::error::timed_out), size);
    }
    co_return std::pair(error, size);
}

// Fills `buffer`; less comes with an error.
Awaitable<std::pair<boost::system::error_code, std::size_t>>
OutputPump::read(asio::mutable_buffer buffer) {
    std::size_t filled = 0;
    while (filled < buffer.size()) {
        if (last_call_ && (last_bytes_ == 0 || last_time_.count() <= 0)) {
            co_return std::pair(make_error_code(asio::error::timed_out), filled);
        }
        const bool was_last = last_call_;
        auto [error, size] = co_await read_some(buffer + filled);
        filled += size;
        if (error == asio::error::operation_aborted && last_call_ && !was_last) {
            continue; // `last_call` woke it; an abort from outside shows at the next wait
        }
        rethrow_abort(error);
        if (error) {
            co_return std::pair(error, filled);
        }
        if (last_call_) {
            last_bytes_ -= std::min(last_bytes_, size);
        }
    }
    co_return std::pair(boost::system::error_code(), filled);
}

void OutputPump::report_end(const boost::system::error_code& error) const {
    if (error == asio::error::timed_out) {
        logger_.info("Output closed, for a process in the guest still holds it");
    } else {
        logger_.warn("Output stream was cut off", {{"error", error.message()}});
    }
}

// Nothing: no further frame comes.
Awaitable<std::optional<std::uint32_t>> OutputPump::read_header() {
    std::array<std::uint8_t, wire::frame_header_size> header{};
    auto [error, size] = co_await read(asio::buffer(header));
    if (error) {
        report_end(error);
        co_return std::nullopt;
    }
    const auto length = wire::decode_frame_header(header);
    if (!length) {
        logger_.warn(
            "Guest sent a bad frame, output stream ended", {{"error", length.error().message()}}
        );
        co_return std::nullopt;
    }
    if (*length == 0) {
        co_return std::nullopt;
    }
    co_return *length;
}

// False: the connection broke on the way.
Awaitable<bool> OutputPump::copy_payload(std::uint32_t length) {
    const auto buffer = std::make_unique_for_overwrite<std::byte[]>(length);
    auto [error, size] = co_await read(asio::buffer(buffer.get(), length));
    if (error) {
        report_end(error);
    }
    if (sink_works_ && size > 0) {
        try {
            co_await sink_->write({buffer.get(), size});
        } catch (const Error& failure) {
            sink_works_ = false;
            logger_.warn(
                "Cannot write a process's output, dropping it", {{"error", failure.message()}}
            );
        }
    }
    co_return !error;
}

Awaitable<bool> pump_input(InputFifo& fifo, StreamSocket& socket, const Logger& logger) {
    using wire::frame_header_size;
    try {
        for (;;) {
            co_await fifo.wait_readable();
            constexpr std::size_t size = frame_header_size + wire::max_frame_payload;
            const auto frame = std::make_unique_for_overwrite<std::byte[]>(size);
            const auto count =
                fifo.read_some({frame.get() + frame_header_size, wire::max_frame_payload});
            if (!count) {
                continue;
            }
            const auto header = wire::encode_frame_header(static_cast<std::uint32_t>(*count));
            std::ranges::copy(std::as_bytes(std::span(header)), frame.get());
            co_await asio::async_write(
                socket, asio::buffer(frame.get(), frame_header_size + *count), asio::use_awaitable
            );
            if (*count == 0) {
                co_return true; // a frame of length 0 is the end
            }
        }
    } catch (const boost::system::system_error& error) {
        // Closed by the owner, or the guest reads no more (the process closed its input or ended):
        // the ordinary ways for an input stream to end. Also the abort of a cancellation, after
        // which nothing is awaited any more.
        logger.debug("Input stream ended", {{"reason", error.code().message()}});
    } catch (const Error& error) {
        logger.warn("Cannot read a process's input", {{"error", error.message()}});
    }
    co_return false;
}

Awaitable<> wait_closed(StreamSocket& socket) {
    std::array<char, 1> byte{};
    auto [error, size] = co_await socket.async_read_some(asio::buffer(byte), use_tuple);
    rethrow_abort(error);
}

} // namespace cppvm::io
