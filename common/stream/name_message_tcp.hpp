#pragma once

#include "common/async/asio.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <string>

namespace cppvm::stream {

/// A DNS message by TCP, its length before it (RFC 1035, 4.2.2).
/// Throws: boost::system::system_error. Cancels: the connection is of no further use.
Awaitable<std::string> read_name_message(asio::ip::tcp::socket& from);
Awaitable<> write_name_message(asio::ip::tcp::socket& to, const std::string& message);

} // namespace cppvm::stream
