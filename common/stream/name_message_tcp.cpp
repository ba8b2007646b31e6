#include "common/stream/name_message_tcp.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/endian/conversion.hpp>

#include <array>

namespace cppvm::stream {

namespace {

using Length = std::array<std::uint8_t, 2>;

} // namespace

Awaitable<std::string> read_name_message(asio::ip::tcp::socket& from) {
    Length length{};
    co_await asio::async_read(from, asio::buffer(length), asio::use_awaitable);
    std::string message(boost::endian::load_big_u16(length.data()), '\0');
    co_await asio::async_read(from, asio::buffer(message), asio::use_awaitable);
    co_return message;
}

Awaitable<> write_name_message(asio::ip::tcp::socket& to, const std::string& message) {
    Length length{};
    boost::endian::store_big_u16(length.data(), static_cast<std::uint16_t>(message.size()));
    const std::array<asio::const_buffer, 2> parts{asio::buffer(length), asio::buffer(message)};
    co_await asio::async_write(to, parts, asio::use_awaitable);
}

} // namespace cppvm::stream
