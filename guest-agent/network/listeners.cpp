#include "guest-agent/network/listeners.hpp"

#include "common/async/adopt.hpp"
#include "common/base/error.hpp"
#include "common/base/number.hpp"
#include "common/base/take_part.hpp"
#include "common/os/file.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <string_view>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cppvm::guest {

using network::ListeningPort;

namespace {

constexpr const char* tracefs = "/sys/kernel/tracing";
constexpr std::size_t max_table_bytes = 16UL * 1024 * 1024;
constexpr unsigned listening = 0x0a; // TCP_LISTEN (net/tcp_states.h)

bool is_any(std::string_view address) {
    return address.find_first_not_of('0') == std::string_view::npos;
}

/// In the table's notation: words of 32 bits in the machine's order, here the smaller end first.
bool is_loopback(std::string_view address, bool ipv6) {
    return address == (ipv6 ? "00000000000000000000000001000000" : "0100007F");
}

/// Whether a socket that listens at that port for all of IPv6 does so for IPv4 too, which the table
/// does not tell: then nobody else can have it.
bool serves_ipv4(std::uint16_t port) {
    const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return socket &&
           // So that this is in nobody's way for the moment that it lasts.
           ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
           ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
           errno == EADDRINUSE;
}

} // namespace

std::set<ListeningPort> parse_listeners(std::string_view table, bool ipv6) {
    std::set<ListeningPort> found;
    take_part(table, '\n'); // headings
    while (!table.empty()) {
        std::string_view line = take_part(table, '\n');
        take_word(line); // a running number
        std::string_view local = take_word(line);
        take_word(line); // the peer
        const auto state = to_number<unsigned>(take_word(line), 16);
        const std::string_view address = take_part(local, ':');
        const auto port = to_number<std::uint16_t>(local, 16);
        if (state == listening && port && (is_any(address) || is_loopback(address, ipv6))) {
            found.insert({ipv6, *port, is_any(address)});
        }
    }
    return found;
}

std::set<ListeningPort> read_listeners() {
    auto found = parse_listeners(read_file("/proc/net/tcp", max_table_bytes), false);
    std::set<ListeningPort> ipv6;
    try {
        ipv6 = parse_listeners(read_file("/proc/net/tcp6", max_table_bytes), true);
    } catch (const Error& error) {
        if (error.cause().value() != ENOENT) { // no IPv6
            throw;
        }
    }
    for (const ListeningPort& port : ipv6) {
        if (port.everywhere && serves_ipv4(port.port)) {
            found.insert({false, port.port, true});
        }
    }
    found.merge(ipv6);
    return found;
}

// A buffer of its own, as small as the kernel allows: what is in it does not matter, only that
// there is something.
ListenWatch::ListenWatch(const asio::any_io_executor& executor) : events_(executor) {
    if (::mount("tracefs", tracefs, "tracefs", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0 &&
        errno != EBUSY) {
        throw_errno("mount", tracefs);
    }
    const std::string instance = std::string(tracefs) + "/instances/cppvm";
    if (::mkdir(instance.c_str(), 0700) != 0 && errno != EEXIST) {
        throw_errno("make", instance);
    }
    const std::string event = instance + "/events/sock/inet_sock_set_state";
    write_control_file(instance + "/buffer_size_kb", "4");
    write_control_file(event + "/filter", "protocol == 6 && (newstate == 10 || oldstate == 10)");
    write_control_file(event + "/enable", "1");
    adopt(events_, open_file(instance + "/trace_pipe", O_RDONLY | O_NONBLOCK));
}

Awaitable<> ListenWatch::wait() {
    while (!drain()) {
        co_await events_.async_wait(asio::posix::descriptor_base::wait_read, asio::use_awaitable);
    }
}

bool ListenWatch::drain() {
    std::array<char, 4096> nothing{};
    bool changed = false;
    while (::read(events_.native_handle(), nothing.data(), nothing.size()) > 0) {
        changed = true;
    }
    return changed;
}

} // namespace cppvm::guest
