#include "common/stream/stream_sender.hpp"

#include "common/async/first_of.hpp"
#include "common/wire/stream_frame.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <array>

namespace cppvm::stream {

StreamSender::StreamSender(const asio::any_io_executor& executor, std::size_t capacity)
    : bytes_(capacity), more_to_send_(executor), more_room_(executor), never_(executor) {}

Awaitable<StreamSender::End> StreamSender::run(Source source, Connect connect) {
    co_await first_of(read_source(std::move(source)), send(std::move(connect)));
    co_return end_.value_or(End::lost);
}

// Ends by throwing only: how the stream ends is the receiver's word.
Awaitable<> StreamSender::read_source(Source source) {
    for (;;) {
        while (bytes_.end() - bytes_.confirmed() >= bytes_.capacity()) {
            more_room_.clear();
            co_await more_room_.wait();
        }
        const bool more = co_await source(bytes_);
        if (!more) {
            source_ended_ = true;
            more_to_send_.set();
            co_await never_.wait();
        }
        more_to_send_.set();
    }
}

Awaitable<> StreamSender::send(Connect connect) {
    while (!end_) {
        const auto connection = co_await connect();
        if (!connection) {
            end_ = End::lost;
        } else if (!bytes_.confirm(connection->received)) {
            end_ = End::broken;
        } else {
            more_room_.set();
            position_ = connection->received;
            end_sent_ = false;
            co_await first_of(
                write_frames(*connection->socket), read_confirmations(*connection->socket)
            );
        }
        if (connection) {
            boost::system::error_code ignored;
            connection->socket->close(ignored);
        }
    }
}

// Until the connection breaks.
Awaitable<> StreamSender::write_frames(StreamSocket& socket) {
    for (;;) {
        const auto piece = bytes_.from(position_, wire::max_frame_payload);
        if (piece.empty() && end_sent_) {
            co_await never_.wait();
        }
        if (piece.empty() && !source_ended_) {
            more_to_send_.clear();
            co_await more_to_send_.wait();
            continue;
        }
        const auto header = wire::encode_frame_header(static_cast<std::uint32_t>(piece.size()));
        // Counted before they are written: the receiver's word on them may be here first.
        position_ += piece.size();
        end_sent_ = piece.empty();
        const std::array<asio::const_buffer, 2> frame{
            asio::buffer(header), asio::buffer(piece.data(), piece.size())
        };
        auto [error, size] = co_await asio::async_write(socket, frame, use_tuple);
        if (error) {
            co_return;
        }
    }
}

// Until the connection breaks or the receiver's word ends the stream.
Awaitable<> StreamSender::read_confirmations(StreamSocket& socket) {
    std::array<std::uint8_t, wire::confirmation_size> bytes{};
    while (!end_) {
        auto [error, size] = co_await asio::async_read(socket, asio::buffer(bytes), use_tuple);
        if (error) {
            co_return;
        }
        end_ = hear(wire::decode_confirmation(bytes));
    }
}

std::optional<StreamSender::End> StreamSender::hear(std::uint64_t confirmation) noexcept {
    if (confirmation == wire::stream_refused) {
        return End::refused;
    }
    if (end_sent_ && confirmation == position_ + 1) {
        return End::confirmed;
    }
    if (confirmation > position_ || !bytes_.confirm(confirmation)) {
        return End::broken;
    }
    more_room_.set();
    return std::nullopt;
}

} // namespace cppvm::stream
