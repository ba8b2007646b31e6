#include "common/wire/stream_frame.hpp"

namespace cppvm::wire {

std::array<std::uint8_t, frame_header_size> encode_frame_header(std::uint32_t length) noexcept {
    return {
        static_cast<std::uint8_t>(length >> 24),
        static_cast<std::uint8_t>(length >> 16),
        static_cast<std::uint8_t>(length >> 8),
        static_cast<std::uint8_t>(length)
    };
}

boost::system::result<std::uint32_t>
decode_frame_header(std::span<const std::uint8_t, frame_header_size> bytes) noexcept {
    std::uint32_t length = 0;
    for (const std::uint8_t byte : bytes) {
        length = length << 8 | byte;
    }
    if (length > max_frame_payload) {
        return boost::system::errc::make_error_code(boost::system::errc::message_size);
    }
    return length;
}

} // namespace cppvm::wire
