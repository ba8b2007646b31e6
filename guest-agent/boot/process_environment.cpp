#include "guest-agent/boot/process_environment.hpp"

#include "common/async/event.hpp"
#include "common/base/error.hpp"
#include "common/os/unix_address.hpp"

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/signal_set.hpp>

#include <csignal>
#include <sys/socket.h>
#include <unistd.h>

namespace cppvm::guest {

UniqueFd ProcessEnvironment::listen() {
    const sockaddr_un address = unix_address(options_.listen_path, "choose a shorter one");
    UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ::unlink(options_.listen_path.c_str());
    if (!socket ||
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(socket.get(), SOMAXCONN) != 0) {
        throw_errno("listen at", options_.listen_path);
    }
    return socket;
}

bool ProcessEnvironment::is_from_host(int connection) const {
    ucred peer{};
    socklen_t size = sizeof peer;
    return ::getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           peer.uid == ::geteuid();
}

Awaitable<std::optional<StreamSocket>> ProcessEnvironment::dial_host() {
    if (options_.hello_path.empty()) {
        co_return std::nullopt;
    }
    auto executor = co_await asio::this_coro::executor;
    StreamSocket socket(executor);
    const StreamSocket::endpoint_type address =
        asio::local::stream_protocol::endpoint(options_.hello_path);
    co_await socket.async_connect(address, asio::use_awaitable);
    co_return socket;
}

Awaitable<Disk> ProcessEnvironment::find_disk(std::string serial, Deadline /*deadline*/) {
    const auto found = disk_at(std::filesystem::path("/dev") / serial);
    if (!found) {
        throw Error(Code::not_found, "there is no block device " + serial);
    }
    co_return *found;
}

Awaitable<std::set<network::ListeningPort>> ProcessEnvironment::next_listeners() {
    Event never(co_await asio::this_coro::executor);
    co_await never.wait();
    co_return std::set<network::ListeningPort>();
}

Awaitable<> ProcessEnvironment::wait_end(asio::any_io_executor executor) {
    asio::signal_set signals(executor, SIGTERM, SIGINT);
    co_await signals.async_wait(asio::use_awaitable);
}

} // namespace cppvm::guest
