#include "host/vm/unix_socket.hpp"

#include "common/base/error.hpp"
#include "common/os/unix_address.hpp"

#include <cerrno>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cppvm::vm {

using asio::local::stream_protocol;

void check_socket_path(const std::filesystem::path& path) {
    static_cast<void>(unix_address(path, "choose a shorter run_dir"));
}

stream_protocol::acceptor
listen_unix(const asio::any_io_executor& executor, const std::filesystem::path& path) {
    check_socket_path(path);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
        throw_errno("replace the socket", path.native());
    }
    stream_protocol::acceptor acceptor(executor, stream_protocol());
    // Before bind, so that the socket is never open to others.
    if (::fchmod(acceptor.native_handle(), 0600) != 0) {
        throw_errno("chmod the socket", path.native());
    }
    boost::system::error_code error;
    acceptor.bind(stream_protocol::endpoint(path.native()), error);
    if (error) {
        throw_errno("bind", path.native(), error.value());
    }
    acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
        throw_errno("listen on", path.native(), error.value());
    }
    return acceptor;
}

ucred peer_of(stream_protocol::socket& socket) {
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
        throw_errno("ask for the peer of", "a unix socket");
    }
    return credentials;
}

} // namespace cppvm::vm
