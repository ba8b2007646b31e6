#include "host/network/guest_ports.hpp"

#include "common/async/adopt.hpp"
#include "common/base/error.hpp"
#include "common/base/scope_exit.hpp"
#include "common/network/netlink.hpp"
#include "common/stream/relay.hpp"

#include <boost/asio/steady_timer.hpp>

#include <cerrno>
#include <netinet/in.h>
#include <sstream>
#include <sys/socket.h>
#include <utility>

namespace cppvm::network {

namespace {

constexpr std::chrono::milliseconds pause_without_descriptors{100};

std::string describe(const asio::ip::tcp::endpoint& endpoint) {
    std::ostringstream out;
    out << endpoint;
    return out.str();
}

UniqueFd listen_at(const asio::ip::tcp::endpoint& endpoint) {
    const int family = endpoint.protocol().family();
    UniqueFd socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    if (!socket || ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        // The guest tells of each family that a socket of its serves.
        (family == AF_INET6 &&
         ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) != 0) ||
        ::bind(socket.get(), endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0 ||
        ::listen(socket.get(), SOMAXCONN) != 0) {
        throw_errno("listen at", describe(endpoint));
    }
    return socket;
}

} // namespace

struct GuestPorts::Listener {
    explicit Listener(const asio::any_io_executor& executor) : acceptor(executor) {}

    ListeningPort port;
    asio::ip::tcp::acceptor acceptor;
};

GuestPorts::GuestPorts(
    const asio::any_io_executor& executor,
    Logger logger,
    int network_namespace,
    Reach reach,
    Dial dial
)
    : executor_(executor), logger_(logger), namespace_(network_namespace), reach_(reach),
      dial_(std::move(dial)), tasks_(executor, std::move(logger)) {}

GuestPorts::Endpoint GuestPorts::endpoint_of(const ListeningPort& port) const {
    using asio::ip::address_v4;
    using asio::ip::address_v6;
    const bool any = reach_ == Reach::as_the_guest && port.everywhere;
    if (port.ipv6) {
        return {any ? address_v6::any() : address_v6::loopback(), port.port};
    }
    return {any ? address_v4::any() : address_v4::loopback(), port.port};
}

void GuestPorts::set(const std::set<ListeningPort>& ports) {
    std::map<Endpoint, ListeningPort> wanted;
    for (const ListeningPort& port : ports) {
        if (wanted.size() == max_ports) {
            logger_.warn(
                "Not all ports of the guest are reachable on the host",
                {{"ports", ports.size()}, {"limit", max_ports}}
            );
            break;
        }
        wanted.emplace(endpoint_of(port), port);
    }
    std::erase_if(listeners_, [&](const auto& entry) {
        const bool goes = !wanted.contains(entry.first);
        if (goes) {
            boost::system::error_code ignored;
            entry.second->acceptor.close(ignored);
        }
        return goes;
    });
    for (const auto& [endpoint, port] : wanted) {
        if (!listeners_.contains(endpoint)) {
            listen(endpoint, port);
        }
    }
}

void GuestPorts::listen(const Endpoint& endpoint, const ListeningPort& port) {
    try {
        auto listener = std::make_shared<Listener>(executor_);
        listener->port = port;
        UniqueFd socket = in_namespace(namespace_, [&] { return listen_at(endpoint); });
        adopt(listener->acceptor, std::move(socket), endpoint.protocol());
        listeners_.emplace(endpoint, listener);
        tasks_.spawn("accept at " + describe(endpoint), accept(std::move(listener)));
    } catch (const Error& error) {
        // Somebody on the host has it, such as docker's DNS server.
        logger_.debug("A port of the guest stays the host's", {{"error", error.message()}});
    }
}

Awaitable<> GuestPorts::accept(std::shared_ptr<Listener> listener) {
    for (;;) {
        auto [error, client] = co_await listener->acceptor.async_accept(use_tuple);
        if (error == asio::error::operation_aborted || error == asio::error::bad_descriptor) {
            co_return; // closed
        }
        if (error) {
            asio::steady_timer pause(executor_, pause_without_descriptors);
            co_await pause.async_wait(asio::use_awaitable);
            continue;
        }
        StreamSocket connection(std::move(client));
        if (connections_ >= max_connections) {
            turn_away(connection);
            continue;
        }
        tasks_.spawn(
            "connection to a port of the guest", join(listener->port, std::move(connection))
        );
    }
}

void GuestPorts::turn_away(StreamSocket& client) {
    stream::reset(client);
    if (!std::exchange(has_turned_away_, true)) {
        logger_.warn(
            "Connections to ports of the guest are reset: there are too many",
            {{"limit", max_connections}}
        );
    }
}

Awaitable<> GuestPorts::join(ListeningPort port, StreamSocket client) {
    ++connections_;
    const ScopeExit count([this] { --connections_; });
    std::optional<StreamSocket> guest;
    try {
        guest = co_await dial_(port);
    } catch (const Error& error) {
        logger_.debug("No connection to the guest", {{"error", error.message()}});
    }
    if (guest) {
        co_await stream::relay(*guest, client);
    } else {
        stream::reset(client);
    }
}

Awaitable<> GuestPorts::stop() {
    co_await tasks_.stop();
    listeners_.clear();
}

} // namespace cppvm::network
