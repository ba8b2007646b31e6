#include "common/stream/frame_writer.hpp"

#include "common/wire/stream_frame.hpp"

#include <boost/asio/write.hpp>

#include <array>

namespace cppvm::stream {

Awaitable<> write_frame(StreamSocket& to, asio::const_buffer payload) {
    const auto header = wire::encode_frame_header(static_cast<std::uint32_t>(payload.size()));
    const std::array<asio::const_buffer, 2> frame{asio::buffer(header), payload};
    co_await asio::async_write(to, frame, asio::use_awaitable);
}

} // namespace cppvm::stream
