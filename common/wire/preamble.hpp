#pragma once

#include <boost/system/result.hpp>

#include <array>
#include <cstdint>
#include <span>

namespace cppvm::wire {

/// What a connection to the agent's port is for.
enum class ConnectionKind : std::uint8_t {
    rpc = 1,    ///< ttrpc, service cppvm.agent.v2.Agent; stream 0
    stdio = 2,  ///< a new stdio stream, parked under its id until a request names that id
    resume = 3, ///< a stdio stream that has lost its connection goes on
    /// To a TCP port of the guest's loopback address; `stream` is the port, `received` 4 or 6, the
    /// family. Refused where nobody listens. Then frames in both directions
    /// (common/stream/relay.hpp).
    tcp = 4,
    /// The agent listens at a loopback address, port 53, and passes on what it is asked there:
    /// frames of NameMessages. `received` is the family, 4 or 6; `stream` the address of IPv4,
    /// while IPv6 has but one. Refused where somebody in the guest has the port.
    names = 5,
    /// To a connection that a container has made to a socket of the host's; `stream` is its number
    /// (Event.SocketConnection), `received` 1 if the host's socket has taken it, 0 if it cannot be
    /// reached: then it is closed. Refused if there is no such connection any more. Then frames in
    /// both directions (common/stream/relay.hpp).
    socket = 6,
};

/// The first 24 bytes of each connection that the host opens to the agent: "CPVM", version (u8),
/// kind (u8), zero (u16), stream (u64), received (u64), big endian.
struct Preamble {
    ConnectionKind kind = ConnectionKind::rpc;
    std::uint64_t stream = 0;   ///< id of a stdio stream; the host uses each once
    std::uint64_t received = 0; ///< bytes that the host has received of it

    friend bool operator==(const Preamble&, const Preamble&) = default;
};

inline constexpr std::size_t preamble_size = 24;

std::array<std::uint8_t, preamble_size> encode(const Preamble& preamble) noexcept;

/// Fails with errc::bad_message on another magic or kind, errc::protocol_not_supported on another
/// version.
boost::system::result<Preamble> decode_preamble(std::span<const std::uint8_t, preamble_size> bytes
) noexcept;

/// The agent's answer: `accepted` or `refused` (u8), then the bytes that it has received of the
/// stream (u64, big endian; 0 unless one is resumed). It closes a connection that it refuses.
struct PreambleAnswer {
    bool accepted = false;
    std::uint64_t received = 0;

    friend bool operator==(const PreambleAnswer&, const PreambleAnswer&) = default;
};

inline constexpr std::size_t preamble_answer_size = 9;
inline constexpr std::uint8_t accepted = 0x06; // ACK
inline constexpr std::uint8_t refused = 0x15;  // NAK

std::array<std::uint8_t, preamble_answer_size> encode(const PreambleAnswer& answer) noexcept;

/// Anything but `accepted` is a refusal.
PreambleAnswer decode_preamble_answer(std::span<const std::uint8_t, preamble_answer_size> bytes
) noexcept;

} // namespace cppvm::wire
