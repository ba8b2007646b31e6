#pragma once

#include "common/async/asio.hpp"
#include "common/base/error.hpp"

#include <array>
#include <sys/socket.h>
#include <utility>

namespace cppvm::guest {

/// Two connected stream sockets.
inline std::pair<StreamSocket, StreamSocket> make_socket_pair(const asio::any_io_executor& executor
) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        throw_errno("create", "socket pair");
    }
    std::pair<StreamSocket, StreamSocket> result{StreamSocket(executor), StreamSocket(executor)};
    result.first.assign(asio::generic::stream_protocol(AF_UNIX, 0), ends[0]);
    result.second.assign(asio::generic::stream_protocol(AF_UNIX, 0), ends[1]);
    return result;
}

} // namespace cppvm::guest
