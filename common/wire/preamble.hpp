#pragma once

#include <boost/system/result.hpp>

#include <array>
#include <cstdint>
#include <span>

namespace cppvm::wire {

/// What a connection to the agent's port is for.
enum class ConnectionKind : std::uint8_t {
    rpc = 1,   ///< ttrpc, service cppvm.agent.v1.Agent; token 0
    stdio = 2, ///< one stdio stream, parked under its token until a request names that token
};

/// The first 16 bytes of each connection that the host opens to the agent: "CPVM", version (u8),
/// kind (u8), zero (u16), token (u64), big endian. The agent answers one byte, `accepted` or
/// `refused`, and closes after the latter.
struct Preamble {
    ConnectionKind kind = ConnectionKind::rpc;
    std::uint64_t token = 0;

    friend bool operator==(const Preamble&, const Preamble&) = default;
};

inline constexpr std::size_t preamble_size = 16;
inline constexpr std::uint8_t accepted = 0x06; // ACK
inline constexpr std::uint8_t refused = 0x15;  // NAK

std::array<std::uint8_t, preamble_size> encode(const Preamble& preamble) noexcept;

/// Fails with errc::bad_message on another magic or kind, errc::protocol_not_supported on another
/// version.
boost::system::result<Preamble> decode_preamble(std::span<const std::uint8_t, preamble_size> bytes
) noexcept;

} // namespace cppvm::wire
