#include "common/ttrpc/connection.hpp"

#include "common/base/scope_exit.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/write.hpp>

#include <utility>

namespace cppvm::ttrpc {

namespace {

constexpr std::size_t read_bytes = 16UL * 1024;
// Two of the largest frames.
constexpr std::size_t max_queued_bytes = 2UL * max_payload_bytes;

} // namespace

Error closed_error() {
    return {Code::unavailable, "ttrpc: closed"};
}

Connection::Connection(StreamSocket socket)
    : socket_(std::move(socket)), more_(socket_.get_executor()), room_(socket_.get_executor()),
      flushed_(socket_.get_executor()) {
    room_.set();
}

Awaitable<> Connection::run(FrameSink& sink) {
    const ScopeExit close_at_end([this] { close(); });
    const auto executor = co_await asio::this_coro::executor;
    auto both = asio::experimental::make_parallel_group(
        asio::co_spawn(executor, read_loop(sink), asio::deferred),
        asio::co_spawn(executor, write_loop(), asio::deferred)
    );
    const auto [order, read_failure, write_failure] =
        co_await both.async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
        throw boost::system::system_error(asio::error::operation_aborted);
    }
    // The one that ended first cancelled the other, whose abort means nothing then. A sink that
    // was interrupted by `close` has no failure of its own either.
    const auto& failure = order[0] == 0 ? read_failure : write_failure;
    if (failure && !closed_) {
        std::rethrow_exception(failure);
    }
}

Awaitable<> Connection::room() {
    while (!closed_ && queued_bytes_ >= max_queued_bytes) {
        room_.clear();
        co_await room_.wait();
    }
    if (closed_) {
        throw closed_error();
    }
}

Awaitable<> Connection::flush() {
    while (!closed_ && queued_bytes_ > 0) {
        flushed_.clear();
        co_await flushed_.wait();
    }
    if (closed_) {
        throw closed_error();
    }
}

void Connection::push(std::string frame, Written written) {
    if (closed_) {
        if (written) {
            written();
        }
        return;
    }
    queued_bytes_ += frame.size();
    queue_.push_back({std::move(frame), std::move(written)});
    more_.set();
}

void Connection::close() noexcept {
    if (std::exchange(closed_, true)) {
        return;
    }
    boost::system::error_code ignored;
    socket_.close(ignored);
    more_.set();
    room_.set();
    flushed_.set();
    // The bytes stay: an operation on the socket that is on its way out may still point at them.
    std::vector<Written> waiting;
    for (auto* batch : {&writing_, &queue_}) {
        for (auto& frame : *batch) {
            if (frame.written) {
                waiting.push_back(std::move(frame.written));
            }
        }
    }
    for (const auto& written : waiting) {
        written();
    }
}

std::string Connection::end_reason() const {
    return end_ ? end_.message() : "closed here";
}

Awaitable<> Connection::read_loop(FrameSink& sink) {
    FrameDecoder decoder;
    std::vector<char> buffer(read_bytes);
    while (!closed_) {
        auto [error, size] = co_await socket_.async_read_some(asio::buffer(buffer), use_tuple);
        if (error) {
            if (!closed_) {
                end_ = error;
            }
            co_return;
        }
        std::string_view bytes(buffer.data(), size);
        while (auto frame = decoder.next(bytes)) {
            co_await sink.on_frame(std::move(*frame));
            if (closed_) {
                co_return;
            }
        }
    }
}

Awaitable<> Connection::write_loop() {
    std::vector<asio::const_buffer> buffers;
    while (!closed_) {
        if (queue_.empty()) {
            more_.clear();
            co_await more_.wait();
            continue;
        }
        writing_.swap(queue_);
        buffers.clear();
        for (const auto& frame : writing_) {
            buffers.push_back(asio::buffer(frame.bytes));
        }
        auto [error, size] = co_await asio::async_write(socket_, buffers, use_tuple);
        if (closed_) {
            co_return;
        }
        if (error) {
            end_ = error;
            co_return;
        }
        queued_bytes_ -= size;
        room_.set();
        if (queued_bytes_ == 0) {
            flushed_.set();
        }
        for (auto& frame : std::exchange(writing_, {})) {
            if (frame.written) {
                frame.written();
            }
        }
    }
}

} // namespace cppvm::ttrpc
