#pragma once

#include "common/async/asio.hpp"

namespace cppvm::stream {

/// Joins a TCP connection to one between host and guest, on which each direction is a sequence of
/// frames (common/wire/stream_frame.hpp), because not every vsock transport has a half-close.
/// Nothing is confirmed: with the connection between host and guest the TCP connection is lost.
///
/// Returns once both directions have come to their end, or one has broken: then the TCP connection
/// is reset, so that its peer does not take that for an end.
/// Cancels: both connections are broken off.
Awaitable<> relay(StreamSocket& framed, StreamSocket& tcp);

/// Breaks a TCP connection off, so that its peer does not take that for an end.
void reset(StreamSocket& tcp) noexcept;

} // namespace cppvm::stream
