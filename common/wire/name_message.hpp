#pragma once

#include <boost/system/result.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace cppvm::wire {

/// A DNS message on its way between a program in the guest and a name server that listens at a
/// loopback address of the host's side (ConnectionKind::names): one frame
/// (common/wire/stream_frame.hpp) with the asker (u32, big endian), the transport (u8: 0 UDP, 1
/// TCP) and the message. The answer has the question's asker and transport.
struct NameMessage {
    std::uint32_t asker = 0;
    bool tcp = false;
    std::string message;

    friend bool operator==(const NameMessage&, const NameMessage&) = default;
};

inline constexpr std::uint16_t name_port = 53;
/// RFC 1035, 4.2.2: a length of 16 bits.
inline constexpr std::size_t max_name_message = 0xffff;

/// The frame's payload. `message.message` is at most max_name_message.
std::string encode(const NameMessage& message);
/// Fails with errc::bad_message.
boost::system::result<NameMessage> decode_name_message(std::string_view payload);

} // namespace cppvm::wire
