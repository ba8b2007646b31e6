#include "guest-agent/disks/find_disk.hpp"

#include "common/async/adopt.hpp"
#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/os/file.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

#include <array>
#include <cerrno>
#include <sys/socket.h>
// After sys/socket.h, which it relies on.
#include <linux/netlink.h>
#include <unistd.h>
#include <utility>

namespace cppvm::guest {

namespace {

constexpr const char* block_devices = "/sys/block";
constexpr std::size_t max_serial_bytes = 4096; // a page, as any attribute's

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

bool has_serial(const std::filesystem::path& device, std::string_view serial) {
    try {
        std::string text = read_file(device / "serial", max_serial_bytes);
        while (text.ends_with('\n')) {
            text.pop_back();
        }
        return text == serial;
    } catch (const Error&) {
        return false; // not every disk has one; or it has just gone
    }
}

std::optional<Disk> look_for(const std::string& serial) {
    for (const auto& entry : std::filesystem::directory_iterator(block_devices)) {
        if (has_serial(entry.path(), serial)) {
            return disk_at("/dev" / entry.path().filename());
        }
    }
    return std::nullopt;
}

Awaitable<Disk> wait_for(std::string serial) {
    asio::posix::stream_descriptor events(co_await asio::this_coro::executor);
    adopt(events, open_uevents()); // before the look
    for (;;) {
        if (const auto found = look_for(serial)) {
            co_return *found;
        }
        co_await events.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
        drop_events(events.native_handle());
    }
}

} // namespace

Awaitable<Disk> find_disk(std::string serial, Deadline deadline) {
    const std::string what = "wait for disk " + serial;
    co_return co_await with_timeout(wait_for(std::move(serial)), deadline, what);
}

} // namespace cppvm::guest
