#pragma once

#include <boost/system/result.hpp>

#include <array>
#include <cstdint>
#include <span>

namespace cppvm::wire {

/// A stdio stream is a row of frames in one direction: length (u32, big endian), then that many
/// bytes; length 0 is the end of the stream. The end is in band because not every vsock transport
/// has a half-close: vhost-device-vsock turns it into a full one and may then lose what it still
/// buffers (docs/adr/0002). So the reader closes the connection, after it has read the end; the
/// writer waits for that. A writer that sees the close earlier knows that nobody reads any more.
inline constexpr std::size_t frame_header_size = 4;
inline constexpr std::uint32_t max_frame_payload = 64 * 1024;

std::array<std::uint8_t, frame_header_size> encode_frame_header(std::uint32_t length) noexcept;

/// The payload's length. Fails with errc::message_size above max_frame_payload.
boost::system::result<std::uint32_t>
decode_frame_header(std::span<const std::uint8_t, frame_header_size> bytes) noexcept;

} // namespace cppvm::wire
