#pragma once

#include "common/async/asio.hpp"
#include "common/wire/stream_frame.hpp"

#include <array>
#include <cstdint>

namespace cppvm::stream {

/// The receiver's words to the sender of a stdio stream, without ever waiting: a confirmation for
/// which the connection has no room is made up for by the next one.
/// Borrows nothing: the socket comes with each call. A new connection needs a new one.
/// Thread: the loop's only.
class ConfirmationWriter {
  public:
    /// `received`: as in wire::confirmation_size. Says so only if that is due.
    void received(StreamSocket& socket, std::uint64_t received) noexcept;
    /// The end has arrived, after `received` bytes.
    void end(StreamSocket& socket, std::uint64_t received) noexcept;
    /// Nothing more is wanted.
    void refuse(StreamSocket& socket) noexcept;

  private:
    void write(StreamSocket& socket, std::uint64_t confirmation) noexcept;
    bool flush(StreamSocket& socket) noexcept;

    std::array<std::uint8_t, wire::confirmation_size> bytes_{};
    std::size_t left_ = 0; ///< at the end of `bytes_`, that are still to be written
    std::uint64_t confirmed_ = 0;
};

} // namespace cppvm::stream
