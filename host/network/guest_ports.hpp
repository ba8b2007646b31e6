#pragma once

#include "common/async/asio.hpp"
#include "common/async/task_group.hpp"
#include "common/log/logger.hpp"
#include "common/network/listening_port.hpp"

#include <boost/asio/ip/tcp.hpp>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>

namespace cppvm::network {

/// Makes TCP servers in the guest reachable in a network namespace of the host: it listens there
/// where somebody listens in the guest, and joins each connection to one of the guest's.
///
/// A port that somebody on the host listens at already stays theirs.
///
/// Owns: listeners and connections. `stop` must have been awaited before the destructor.
/// Thread: the loop's only.
class GuestPorts {
  public:
    enum class Reach {
        loopback,     ///< for what connects to localhost inside a pod's namespace
        as_the_guest, ///< at all addresses what listens at all of the guest's: the host's network
    };
    /// A connection to that port of the guest's loopback address; nothing if it is refused there.
    using Dial = std::function<Awaitable<std::optional<StreamSocket>>(ListeningPort)>;

    /// `network_namespace`: borrowed.
    GuestPorts(
        const asio::any_io_executor& executor,
        Logger logger,
        int network_namespace,
        Reach reach,
        Dial dial
    );

    /// Where somebody listens in the guest from now on. What the guest says is bounded: of more
    /// than `max_ports` the rest are left out, with a warning.
    void set(const std::set<ListeningPort>& ports);

    Awaitable<> stop();

    static constexpr std::size_t max_ports = 1024;
    /// Further ones are reset; the agent has room for twice as many.
    static constexpr std::size_t max_connections = 256;

  private:
    using Endpoint = asio::ip::tcp::endpoint;
    struct Listener;

    Endpoint endpoint_of(const ListeningPort& port) const;
    void listen(const Endpoint& endpoint, const ListeningPort& port);
    Awaitable<> accept(std::shared_ptr<Listener> listener);
    void turn_away(StreamSocket& client);
    Awaitable<> join(ListeningPort port, StreamSocket client);

    asio::any_io_executor executor_;
    Logger logger_;
    int namespace_;
    Reach reach_;
    Dial dial_;
    std::map<Endpoint, std::shared_ptr<Listener>> listeners_;
    std::size_t connections_ = 0;
    bool has_turned_away_ = false; ///< said once
    TaskGroup tasks_;
};

} // namespace cppvm::network
