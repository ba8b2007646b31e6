#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace cppvm::ttrpc {

/// The wire protocol of containerd/ttrpc (PROTOCOL.md there): each frame is a header of ten bytes,
/// big endian, and a payload.
inline constexpr std::size_t frame_header_size = 10;
/// Longest payload, in bytes, in either direction.
inline constexpr std::uint32_t max_payload_bytes = 4 * 1024 * 1024;

/// Others than these may come and are skipped.
enum class FrameType : std::uint8_t { request = 1, response = 2, data = 3 };

inline constexpr std::uint8_t flag_remote_closed = 0x01; ///< the sender sends no more
inline constexpr std::uint8_t flag_remote_open = 0x02;   ///< data frames of the sender follow
inline constexpr std::uint8_t flag_no_data = 0x04; ///< the payload is no message, not an empty one

struct FrameHeader {
    std::uint32_t length = 0; ///< of the payload
    std::uint32_t stream = 0;
    FrameType type = FrameType::request;
    std::uint8_t flags = 0;

    friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

std::array<char, frame_header_size> encode_header(const FrameHeader& header) noexcept;
FrameHeader decode_header(std::span<const char, frame_header_size> bytes) noexcept;

/// Header and payload. The payload must not be longer than `max_payload_bytes`.
std::string
encode_frame(std::uint32_t stream, FrameType type, std::uint8_t flags, std::string_view payload);

struct Frame {
    FrameHeader header;
    /// Empty if the header's length is above the limit: then the bytes were read and dropped.
    std::string payload;

    bool oversized() const noexcept { return header.length > max_payload_bytes; }
};

/// Cuts a byte stream into frames. Does no I/O and never fails: every byte string is a sequence of
/// frames, the last of which may be incomplete. Holds at most one payload.
class FrameDecoder {
  public:
    /// Takes bytes off the front of `bytes`: up to the end of the next frame, which it returns, or
    /// all of them if the frame goes on beyond. Call again with what is left.
    std::optional<Frame> next(std::string_view& bytes);

    /// Whether the bytes so far end between two frames.
    bool at_boundary() const noexcept { return header_filled_ == 0; }

  private:
    std::array<char, frame_header_size> header_{};
    std::size_t header_filled_ = 0;
    Frame frame_;
    std::size_t missing_ = 0; ///< of the payload, once the header is complete
};

} // namespace cppvm::ttrpc
