#include "common/wire/stream_frame.hpp"

#include <boost/endian/conversion.hpp>

namespace cppvm::wire {

std::array<std::uint8_t, frame_header_size> encode_frame_header(std::uint32_t length) noexcept {
    std::array<std::uint8_t, frame_header_size> bytes{};
    boost::endian::store_big_u32(bytes.data(), length);
    return bytes;
}

boost::system::result<std::uint32_t>
decode_frame_header(std::span<const std::uint8_t, frame_header_size> bytes) noexcept {
    const std::uint32_t length = boost::endian::load_big_u32(bytes.data());
    if (length > max_frame_payload) {
        return boost::system::errc::make_error_code(boost::system::errc::message_size);
    }
    return length;
}

std::array<std::uint8_t, confirmation_size> encode_confirmation(std::uint64_t received) noexcept {
    std::array<std::uint8_t, confirmation_size> bytes{};
    boost::endian::store_big_u64(bytes.data(), received);
    return bytes;
}

std::uint64_t decode_confirmation(std::span<const std::uint8_t, confirmation_size> bytes) noexcept {
    return boost::endian::load_big_u64(bytes.data());
}

} // namespace cppvm::wire
