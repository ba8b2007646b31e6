#include "common/ttrpc/frame.hpp"

#include "common/base/assert.hpp"

#include <boost/endian/conversion.hpp>

#include <algorithm>
#include <utility>

namespace cppvm::ttrpc {

namespace {

unsigned char* bytes_of(char* at) noexcept {
    return reinterpret_cast<unsigned char*>(at);
}

const unsigned char* bytes_of(const char* at) noexcept {
    return reinterpret_cast<const unsigned char*>(at);
}

} // namespace

std::array<char, frame_header_size> encode_header(const FrameHeader& header) noexcept {
    std::array<char, frame_header_size> bytes{};
    boost::endian::store_big_u32(bytes_of(bytes.data()), header.length);
    boost::endian::store_big_u32(bytes_of(bytes.data() + 4), header.stream);
    bytes[8] = static_cast<char>(header.type);
    bytes[9] = static_cast<char>(header.flags);
    return bytes;
}

FrameHeader decode_header(std::span<const char, frame_header_size> bytes) noexcept {
    return {
        .length = boost::endian::load_big_u32(bytes_of(bytes.data())),
        .stream = boost::endian::load_big_u32(bytes_of(bytes.data() + 4)),
        .type = static_cast<FrameType>(bytes[8]),
        .flags = static_cast<std::uint8_t>(bytes[9]),
    };
}

std::string
encode_frame(std::uint32_t stream, FrameType type, std::uint8_t flags, std::string_view payload) {
    CPPVM_ASSERT(payload.size() <= max_payload_bytes);
    const auto header = encode_header({
        .length = static_cast<std::uint32_t>(payload.size()),
        .stream = stream,
        .type = type,
        .flags = flags,
    });
    std::string frame;
    frame.reserve(header.size() + payload.size());
    frame.append(header.data(), header.size()).append(payload);
    return frame;
}

std::optional<Frame> FrameDecoder::next(std::string_view& bytes) {
    if (header_filled_ < frame_header_size) {
        const std::size_t taken = std::min(bytes.size(), frame_header_size - header_filled_);
        std::copy_n(bytes.begin(), taken, header_.begin() + header_filled_);
        bytes.remove_prefix(taken);
        header_filled_ += taken;
        if (header_filled_ < frame_header_size) {
            return std::nullopt;
        }
        frame_.header = decode_header(header_);
        missing_ = frame_.header.length;
    }
    const std::size_t taken = std::min(bytes.size(), missing_);
    if (!frame_.oversized()) {
        // Memory follows the bytes that came, not the length that was announced.
        frame_.payload.append(bytes.substr(0, taken));
    }
    bytes.remove_prefix(taken);
    missing_ -= taken;
    if (missing_ > 0) {
        return std::nullopt;
    }
    header_filled_ = 0;
    return std::exchange(frame_, Frame{});
}

} // namespace cppvm::ttrpc
