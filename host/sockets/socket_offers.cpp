#include "host/sockets/socket_offers.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/os/unix_connection.hpp"
#include "common/stream/relay.hpp"

#include <utility>

namespace cppvm::sockets {

namespace {

// A server that does not accept has a full queue, which is an error at once. This is for the rest.
constexpr std::chrono::seconds connect_timeout{5};

} // namespace

SocketOffers::SocketOffers(const asio::any_io_executor& executor, Logger logger)
    : executor_(executor), logger_(std::move(logger)) {}

std::uint64_t SocketOffers::offer(std::filesystem::path path) {
    const std::uint64_t number = ++last_number_;
    offers_.emplace(number, std::make_shared<Offer>(executor_, logger_, std::move(path)));
    return number;
}

Awaitable<> SocketOffers::withdraw(std::uint64_t number) {
    auto node = offers_.extract(number);
    if (node) {
        co_await node.mapped()->connections.stop();
    }
}

void SocketOffers::connect(std::uint64_t number, std::uint64_t connection, Dial dial) {
    const auto found = offers_.find(number);
    if (found == offers_.end() || open_connections() >= max_connections) {
        logger_.debug("Connection to a socket refused", {{"socket", number}});
        return;
    }
    Offer& offer = *found->second;
    offer.connections.spawn(
        "connection to " + offer.path.native(), join(offer.path, connection, std::move(dial))
    );
}

std::size_t SocketOffers::open_connections() const noexcept {
    std::size_t count = 0;
    for (const auto& [number, offer] : offers_) {
        count += offer->connections.size();
    }
    return count;
}

// The host's end first: what the guest is told is whether there is one.
Awaitable<> SocketOffers::join(std::filesystem::path path, std::uint64_t connection, Dial dial) {
    std::optional<StreamSocket> server;
    try {
        server.emplace(co_await with_timeout(
            connect_unix(path), deadline_in(connect_timeout), "connect to " + path.native()
        ));
    } catch (const Error& error) {
        logger_.debug("Socket of the host cannot be reached", {{"error", error.message()}});
    }
    try {
        auto guest = co_await dial(connection, server.has_value());
        if (guest && server) {
            co_await stream::relay(*guest, *server);
        }
    } catch (const Error& error) {
        logger_.debug("No connection from the guest", {{"error", error.message()}});
    }
}

Awaitable<> SocketOffers::stop() {
    while (!offers_.empty()) {
        co_await withdraw(offers_.begin()->first);
    }
}

} // namespace cppvm::sockets
