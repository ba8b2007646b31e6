#include "common/stream/stream_sender.hpp"

#include "common/async/first_of.hpp"
#include "common/wire/stream_frame.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <array>

namespace cppvm::stream {

StreamSender::StreamSender(const asio::any_io_executor& executor, std::size_t capacity)
    : bytes_(capacity), more_room_(executor), never_(executor) {}

Awaitable<StreamSender::End> StreamSender::run(Source source, Connect connect) {
    while (!end_) {
        const auto connection = co_await connect();
        if (!connection) {
            end_ = End::lost;
        } else if (!bytes_.confirm(connection->received)) {
            end_ = End::broken;
        } else {
            position_ = connection->received;
            end_sent_ = false;
            co_await first_of(
                send(*connection->socket, source), read_confirmations(*connection->socket)
            );
        }
        if (connection) {
            boost::system::error_code ignored;
            connection->socket->close(ignored);
        }
    }
    co_return *end_;
}

// Until the connection breaks. How the stream ends is the receiver's word.
Awaitable<> StreamSender::send(StreamSocket& socket, const Source& source) {
    for (;;) {
        if (!co_await write_frames(socket)) {
            co_return;
        }
        if (end_sent_) {
            co_await never_.wait();
        }
        while (bytes_.end() - bytes_.confirmed() >= bytes_.capacity()) {
            more_room_.clear();
            co_await more_room_.wait();
        }
        source_ended_ = !co_await source(bytes_);
    }
}

// What there is, and after it the end if that is known. False: the connection broke.
Awaitable<bool> StreamSender::write_frames(StreamSocket& socket) {
    while (position_ < bytes_.end() || (source_ended_ && !end_sent_)) {
        const auto piece = bytes_.from(position_, wire::max_frame_payload);
        const auto header = wire::encode_frame_header(static_cast<std::uint32_t>(piece.size()));
        // Counted before they are written: the receiver's word on them may be here first.
        position_ += piece.size();
        end_sent_ = piece.empty();
        const std::array<asio::const_buffer, 2> frame{
            asio::buffer(header), asio::buffer(piece.data(), piece.size())
        };
        auto [error, size] = co_await asio::async_write(socket, frame, use_tuple);
        if (error) {
            co_return false;
        }
    }
    co_return true;
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
