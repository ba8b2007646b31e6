#include "guest-agent/disks/uevents.hpp"

#include "common/async/adopt.hpp"
#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

#include <array>
#include <cerrno>
#include <sys/socket.h>
// After sys/socket.h, which it relies on.
#include <linux/netlink.h>
#include <unistd.h>

namespace cppvm::guest {

namespace {

// What the kernel says of devices as they come and go; netlink(7), NETLINK_KOBJECT_UEVENT.
UniqueFd open_uevents() {
    UniqueFd socket(
        ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT)
    );
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = 1; // the kernel's own, not udev's
    if (!socket ||
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        throw_errno("listen to", "the kernel's uevents");
    }
    return socket;
}

/// Whatever they say: all devices are looked at again.
void drop_events(int socket) {
    std::array<char, 4096> text{};
    while (::recv(socket, text.data(), text.size(), 0) > 0 || errno == ENOBUFS) {
    }
}

} // namespace

Awaitable<> look_at_each_uevent(std::function<bool()> look) {
    asio::posix::stream_descriptor events(co_await asio::this_coro::executor);
    adopt(events, open_uevents()); // before the look
    while (!look()) {
        co_await events.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
        drop_events(events.native_handle());
    }
}

} // namespace cppvm::guest
