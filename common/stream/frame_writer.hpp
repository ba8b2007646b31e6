#pragma once

#include "common/async/asio.hpp"

#include <boost/asio/buffer.hpp>

namespace cppvm::stream {

/// Writes one frame (common/wire/stream_frame.hpp), header and payload at once.
/// Throws: boost::system::system_error. Cancels: the connection is of no further use.
Awaitable<> write_frame(StreamSocket& to, asio::const_buffer payload);

} // namespace cppvm::stream
