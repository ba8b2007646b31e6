#pragma once

#include "common/async/asio.hpp"

#include <boost/asio/local/stream_protocol.hpp>

#include <filesystem>
#include <sys/socket.h>

namespace cppvm::vm {

/// Listens on a new socket at `path`, mode 0600. What was there is replaced: the caller owns the
/// directory. Throws: Error; also when the path is longer than the 107 bytes of unix(7).
asio::local::stream_protocol::acceptor
listen_unix(const asio::any_io_executor& executor, const std::filesystem::path& path);

/// Who connected, as the kernel noted it then (SO_PEERCRED, unix(7)). Throws: Error.
ucred peer_of(asio::local::stream_protocol::socket& socket);

/// Throws: Error if `path` cannot be the path of a unix socket.
void check_socket_path(const std::filesystem::path& path);

} // namespace cppvm::vm
