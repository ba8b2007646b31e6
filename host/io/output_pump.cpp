#include "host/io/output_pump.hpp"

#include "common/base/error.hpp"
#include "common/base/scope_exit.hpp"
#include "common/wire/stream_frame.hpp"

#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

namespace cppvm::io {

namespace {

void rethrow_abort(const boost::system::error_code& error) {
    if (error == asio::error::operation_aborted) {
        throw boost::system::system_error(error);
    }
}

} // namespace

OutputPump::OutputPump(GuestStream stream, std::unique_ptr<OutputSink> sink, Logger logger)
    : stream_(std::move(stream)), sink_(std::move(sink)), logger_(std::move(logger)) {}

OutputPump::~OutputPump() {
    refuse_more();
}

void OutputPump::refuse_more() noexcept {
    if (!std::exchange(over_, true)) {
        confirmations_.refuse(*stream_.socket);
        boost::system::error_code ignored;
        stream_.socket->close(ignored);
    }
}

// After the end the connection stays open until the pump goes: closed at once, vhost-device-vsock
// could lose the confirmation.
Awaitable<> OutputPump::copy() {
    FrameEnd end = FrameEnd::frame;
    while (end == FrameEnd::frame) {
        end = co_await copy_frame();
        if (end == FrameEnd::disconnected && co_await resume()) {
            end = FrameEnd::frame;
        }
    }
    if (end == FrameEnd::stream) {
        over_ = true;
        confirmations_.end(*stream_.socket, received_);
    } else {
        refuse_more();
    }
}

Awaitable<bool> OutputPump::resume() {
    auto connection = co_await stream_.resume(received_);
    if (!connection) {
        logger_.warn("Output stream was cut off", {{"received", received_}});
        co_return false;
    }
    stream_.socket = std::move(connection->socket);
    confirmations_ = {};
    co_return true;
}

Awaitable<> OutputPump::finish() {
    co_await sink_->finish();
    sink_.reset();
}

void OutputPump::last_call() noexcept {
    last_call_ = true;
    if (reading_) {
        boost::system::error_code ignored;
        stream_.socket->cancel(ignored); // the read begins again, with a time limit
    }
}

// One read; after the last call only if the guest is not silent for too long.
Awaitable<std::pair<boost::system::error_code, std::size_t>>
OutputPump::read_some(asio::mutable_buffer buffer) {
    reading_ = true;
    const ScopeExit done([this] { reading_ = false; });
    if (!last_call_) {
        auto [error, size] = co_await stream_.socket->async_read_some(buffer, use_tuple);
        co_return std::pair(error, size);
    }
    const auto begin = std::chrono::steady_clock::now();
    const ScopeExit count_time([this, begin] {
        last_time_ -= std::chrono::steady_clock::now() - begin;
    });
    asio::steady_timer timer(
        stream_.socket->get_executor(),
        std::min<std::chrono::steady_clock::duration>(max_silence, last_time_)
    );
    auto [order, error, size, timer_error] =
        co_await asio::experimental::make_parallel_group(
            stream_.socket->async_read_some(buffer, asio::deferred),
            timer.async_wait(asio::deferred)
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

OutputPump::FrameEnd OutputPump::end_by(const boost::system::error_code& error) const {
    if (error == asio::error::timed_out) {
        logger_.info("Output closed although a process in the guest still has it open");
        return FrameEnd::cut;
    }
    return last_call_ ? FrameEnd::cut : FrameEnd::disconnected;
}

Awaitable<OutputPump::FrameEnd> OutputPump::copy_frame() {
    std::array<std::uint8_t, wire::frame_header_size> header{};
    auto [error, size] = co_await read(asio::buffer(header));
    if (error) {
        co_return end_by(error);
    }
    const auto length = wire::decode_frame_header(header);
    if (!length) {
        logger_.warn(
            "Guest sent a bad frame, output stream ended", {{"error", length.error().message()}}
        );
        co_return FrameEnd::cut;
    }
    if (*length == 0) {
        co_return FrameEnd::stream;
    }
    co_return co_await copy_payload(*length);
}

Awaitable<OutputPump::FrameEnd> OutputPump::copy_payload(std::uint32_t length) {
    const auto buffer = std::make_unique_for_overwrite<std::byte[]>(length);
    auto [error, size] = co_await read(asio::buffer(buffer.get(), length));
    received_ += size;
    confirmations_.received(*stream_.socket, received_);
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
    co_return error ? end_by(error) : FrameEnd::frame;
}

} // namespace cppvm::io
