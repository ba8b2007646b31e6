#include "common/wire/name_message.hpp"

#include <boost/endian/conversion.hpp>
#include <boost/system/errc.hpp>

#include <array>

namespace cppvm::wire {

namespace {

constexpr std::size_t head_size = 5;

} // namespace

std::string encode(const NameMessage& message) {
    std::array<std::uint8_t, head_size> head{};
    boost::endian::store_big_u32(head.data(), message.asker);
    head[4] = message.tcp ? 1 : 0;
    return std::string(head.begin(), head.end()) + message.message;
}

boost::system::result<NameMessage> decode_name_message(std::string_view payload) {
    if (payload.size() < head_size || payload.size() > head_size + max_name_message ||
        static_cast<std::uint8_t>(payload[4]) > 1) {
        return boost::system::errc::make_error_code(boost::system::errc::bad_message);
    }
    NameMessage message;
    message.asker =
        boost::endian::load_big_u32(reinterpret_cast<const std::uint8_t*>(payload.data()));
    message.tcp = payload[4] == 1;
    message.message = payload.substr(head_size);
    return message;
}

} // namespace cppvm::wire
