#include "guest-agent/stdio/process_io.hpp"

#include "common/async/adopt.hpp"
#include "common/async/first_of.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/stream/confirmation_writer.hpp"
#include "common/stream/read_some.hpp"
#include "common/stream/stream_sender.hpp"
#include "common/wire/stream_frame.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <span>
#include <unistd.h>

namespace cppvm::guest {

namespace {

using Descriptor = asio::posix::stream_descriptor;

/// How long the host may take to close a connection after the end of an input stream.
constexpr auto end_grace = std::chrono::seconds(10);

/// Of an output stream: what may be on its way to the host. As much as a vsock connection holds.
constexpr std::size_t output_capacity = 128UL * 1024;

Descriptor nonblocking(const asio::any_io_executor& executor, UniqueFd fd) {
    set_nonblocking(fd.get(), true);
    return to_descriptor(executor, std::move(fd));
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

/// False at the end. A terminal whose other side is closed gives EIO: the end, as for a pipe.
Awaitable<bool> read_output(Descriptor& source, stream::SentBytes& bytes) {
    const auto try_read = [&source](std::span<std::byte> room) -> std::optional<std::size_t> {
        const ssize_t size = ::read(source.native_handle(), room.data(), room.size());
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
            return std::nullopt;
        }
        return static_cast<std::size_t>(std::max<ssize_t>(size, 0));
    };
    const auto wait = [&source]() -> Awaitable<> {
        co_await source.async_wait(asio::posix::descriptor_base::wait_read, asio::use_awaitable);
    };
    co_return co_await stream::read_some(bytes, try_read, wait) > 0;
}

Awaitable<> run_output(std::shared_ptr<StdioStream> stream, Descriptor source) {
    auto executor = co_await asio::this_coro::executor;
    stream::StreamSender sender(executor, output_capacity);
    co_await sender.run(
        [&source](stream::SentBytes& bytes) { return read_output(source, bytes); },
        [&stream] { return stream->next(); }
    );
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

enum class InputEnd {
    disconnected, ///< there may be another connection
    ended,        ///< the host has sent the end
    refused,      ///< the process takes no more, or the host sends nonsense
};

/// One connection's part of an input stream.
class InputConnection {
  public:
    InputConnection(StdioStream& stream, stream::Connection connection)
        : stream_(stream), connection_(std::move(connection)) {}

    Awaitable<InputEnd> copy_to(Descriptor& sink) {
        for (;;) {
            std::array<std::uint8_t, wire::frame_header_size> header{};
            auto [error, size] =
                co_await asio::async_read(socket(), asio::buffer(header), use_tuple);
            if (error || !stream_.is_in_use(connection_)) {
                co_return InputEnd::disconnected;
            }
            const auto length = wire::decode_frame_header(header);
            if (!length) {
                co_return InputEnd::refused;
            }
            if (*length == 0) {
                co_return InputEnd::ended;
            }
            const InputEnd end = co_await copy_payload(*length, sink);
            if (end != InputEnd::ended) {
                co_return end;
            }
        }
    }

    /// Says how the stream has ended, and lets the host close first: the other way round
    /// vhost-device-vsock may lose the word.
    Awaitable<> finish(InputEnd end) {
        if (end == InputEnd::ended) {
            confirmations_.end(socket(), stream_.received);
        } else {
            confirmations_.refuse(socket());
        }
        co_await ends_by(wait_closed(socket()), deadline_in(end_grace));
    }

  private:
    StreamSocket& socket() noexcept { return *connection_.socket; }

    // Ended: the payload has. Read whole before it is written: a vsock brings it in many small
    // pieces, for each of which the process would wake up.
    Awaitable<InputEnd> copy_payload(std::uint32_t length, Descriptor& sink) {
        auto [error, size] =
            co_await asio::async_read(socket(), asio::buffer(buffer_.get(), length), use_tuple);
        if (!stream_.is_in_use(connection_)) {
            co_return InputEnd::disconnected;
        }
        stream_.received += size;
        if (!error) {
            confirmations_.received(socket(), stream_.received); // at once: the next may come
        }
        auto [write_error, written] =
            co_await asio::async_write(sink, asio::buffer(buffer_.get(), size), use_tuple);
        if (write_error) {
            co_return InputEnd::refused;
        }
        co_return error ? InputEnd::disconnected : InputEnd::ended;
    }

    StdioStream& stream_;
    stream::Connection connection_;
    stream::ConfirmationWriter confirmations_;
    std::unique_ptr<std::uint8_t[]> buffer_ =
        std::make_unique_for_overwrite<std::uint8_t[]>(wire::max_frame_payload);
};

/// Until the process has closed its end of a pipe, or all have left the terminal: poll(2) reports
/// that without anything being written.
Awaitable<> wait_sink_closed(Descriptor& sink) {
    co_await sink.async_wait(asio::posix::descriptor_base::wait_error, asio::use_awaitable);
}

Awaitable<> run_input(std::shared_ptr<StdioStream> stream, Descriptor sink) {
    std::optional<InputConnection> connection;
    InputEnd end = InputEnd::refused; // if the process closes its end first
    const auto receive = [&]() -> Awaitable<> {
        do {
            auto next = co_await stream->next();
            if (!next) {
                co_return;
            }
            connection.emplace(*stream, std::move(*next));
            end = co_await connection->copy_to(sink);
        } while (end == InputEnd::disconnected);
    };
    const std::size_t first = co_await first_of(receive(), wait_sink_closed(sink));
    if (first == 1) {
        end = InputEnd::refused;
    }
    // Before the host hears of it: then it knows that the process has its end of file.
    sink.close();
    if (connection) {
        co_await connection->finish(end);
    }
}

} // namespace

ProcessIo::ProcessIo(const asio::any_io_executor& executor, Logger logger)
    : executor_(executor), tasks_(executor, std::move(logger)) {}

void ProcessIo::add_input(std::shared_ptr<StdioStream> stream, UniqueFd sink) {
    tasks_.spawn(
        "input stream", run_input(std::move(stream), nonblocking(executor_, std::move(sink)))
    );
}

void ProcessIo::add_output(std::shared_ptr<StdioStream> stream, UniqueFd source) {
    tasks_.spawn(
        "output stream", run_output(std::move(stream), nonblocking(executor_, std::move(source)))
    );
}

void ProcessIo::discard_output(UniqueFd source) {
    tasks_.spawn("discarded stream", run_discard(nonblocking(executor_, std::move(source))));
}

Awaitable<> ProcessIo::wait_ended() {
    co_await tasks_.wait_empty();
}

Awaitable<> ProcessIo::stop() {
    co_await tasks_.stop();
}

} // namespace cppvm::guest
