#include "common/network/change_watch.hpp"

#include "common/base/error.hpp"

#include <array>
#include <cerrno>
#include <sys/socket.h>
#include <utility>

namespace cppvm::network {

ChangeWatch::ChangeWatch(
    const asio::any_io_executor& executor, Socket socket, std::span<const rtnetlink_groups> groups
)
    : socket_(std::move(socket)), readable_(executor) {
    for (const rtnetlink_groups group : groups) {
        check(
            ::nl_socket_add_membership(socket_.get(), static_cast<int>(group)),
            "subscribe to",
            "changes of the network"
        );
    }
    check(::nl_socket_set_nonblocking(socket_.get()), "open", "netlink socket");
    readable_.assign(::nl_socket_get_fd(socket_.get()));
}

ChangeWatch::~ChangeWatch() {
    if (readable_.is_open()) {
        readable_.release(); // the socket closes it
    }
}

Awaitable<> ChangeWatch::wait() {
    while (!drain()) {
        co_await readable_.async_wait(asio::posix::descriptor_base::wait_read, asio::use_awaitable);
    }
}

// What has changed is read again in any case, so the messages themselves do not matter, nor whether
// the kernel had to drop some (ENOBUFS).
bool ChangeWatch::drain() {
    std::array<char, 8192> nothing{};
    bool changed = false;
    for (;;) {
        const ssize_t size =
            ::recv(readable_.native_handle(), nothing.data(), nothing.size(), MSG_DONTWAIT);
        if (size > 0 || (size < 0 && errno == ENOBUFS)) {
            changed = true;
        } else if (size < 0 && errno == EAGAIN) {
            return changed;
        } else if (size == 0 || errno != EINTR) {
            throw_errno("read", "netlink socket");
        }
    }
}

} // namespace cppvm::network
