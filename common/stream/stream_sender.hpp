#pragma once

#include "common/async/asio.hpp"
#include "common/async/event.hpp"
#include "common/stream/sent_bytes.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

namespace cppvm::stream {

/// A connection that carries a stream, and how many bytes of that have arrived at its other end.
/// Shared with whoever may shut it down because there is a newer one.
struct Connection {
    std::shared_ptr<StreamSocket> socket;
    std::uint64_t received = 0;
};

/// The sending end of a stdio stream (common/wire/stream_frame.hpp). The stream outlives its
/// connections: what the receiver has not confirmed is sent again on the next one.
/// Thread: the loop's only.
class StreamSender {
  public:
    /// Reads the next bytes into `SentBytes::room`, which is not empty, and commits them. False:
    /// the end. What it throws ends the stream. Asked only while there is a connection, and
    /// cancelled if that breaks, when it must not lose a byte.
    using Source = std::function<Awaitable<bool>(SentBytes&)>;
    /// The next connection; nothing if there will be none.
    using Connect = std::function<Awaitable<std::optional<Connection>>()>;

    enum class End {
        confirmed, ///< the receiver has everything, the end included
        refused,   ///< the receiver wants nothing more
        lost,      ///< there is no further connection
        broken,    ///< the receiver confirmed what it cannot have received
    };

    /// `capacity`: how many bytes may be on their way at a time.
    StreamSender(const asio::any_io_executor& executor, std::size_t capacity);

    /// Sends until the stream is over. Once. Throws: what `source` and `connect` throw.
    /// Cancels: the receiver may have got a part of a frame.
    Awaitable<End> run(Source source, Connect connect);

    /// Positions in the stream, for logs and for the next preamble.
    std::uint64_t sent() const noexcept { return position_; }

  private:
    Awaitable<> send(StreamSocket& socket, const Source& source);
    Awaitable<bool> write_frames(StreamSocket& socket);
    Awaitable<> read_confirmations(StreamSocket& socket);
    std::optional<End> hear(std::uint64_t confirmation) noexcept;

    SentBytes bytes_;
    std::uint64_t position_ = 0; ///< in the stream, of what the present connection gets next
    bool source_ended_ = false;
    bool end_sent_ = false; ///< on the present connection
    Event more_room_;
    Event never_;
    std::optional<End> end_;
};

} // namespace cppvm::stream
