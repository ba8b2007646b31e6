#pragma once

#include <boost/system/result.hpp>

#include <array>
#include <cstdint>
#include <span>

namespace cppvm::wire {

/// A stdio stream is a sequence of frames in one direction: length (u32, big endian), then that
/// many bytes; length 0 is the end of the stream. The end is in band because not every vsock
/// transport has a half-close: vhost-device-vsock turns it into a full one and may then lose what
/// it still buffers (docs/adr/0002).
inline constexpr std::size_t frame_header_size = 4;
inline constexpr std::uint32_t max_frame_payload = 64 * 1024;

std::array<std::uint8_t, frame_header_size> encode_frame_header(std::uint32_t length) noexcept;

/// The payload's length. Fails with errc::message_size above max_frame_payload.
boost::system::result<std::uint32_t>
decode_frame_header(std::span<const std::uint8_t, frame_header_size> bytes) noexcept;

/// In the other direction the receiver confirms what has arrived, so that the sender can drop it:
/// the number of bytes since the stream began (u64, big endian), the end counting as one more. The
/// sender keeps the rest, because a stream outlives its connection (wire::ConnectionKind::resume).
/// A receiver confirms no later than after `confirmation_interval` bytes, and the end at once.
inline constexpr std::size_t confirmation_size = 8;
inline constexpr std::uint64_t confirmation_interval = 32UL * 1024;
/// In place of a number: the receiver wants nothing more, and the stream is over.
inline constexpr std::uint64_t stream_refused = ~std::uint64_t{0};

std::array<std::uint8_t, confirmation_size> encode_confirmation(std::uint64_t received) noexcept;
std::uint64_t decode_confirmation(std::span<const std::uint8_t, confirmation_size> bytes) noexcept;

} // namespace cppvm::wire
