#pragma once

#include "common/async/asio.hpp"
#include "common/async/event.hpp"
#include "common/async/task_group.hpp"
#include "common/log/logger.hpp"
#include "common/ttrpc/service.hpp"

#include <boost/asio/local/stream_protocol.hpp>

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>

namespace cppvm::ttrpc {

class ServerConnection;

struct ServerOptions {
    /// Serve only peers whose effective user and group are ours (SO_PEERCRED, unix(7)); others are
    /// disconnected. For unix sockets only.
    bool check_peer_credentials = false;
    std::size_t max_connections = 1024;
    /// Per connection: requests whose handlers have not ended, and the bytes of their payloads.
    /// What is above is answered with resource_exhausted.
    std::size_t max_requests = 1024;
    std::size_t max_request_bytes = 64UL * 1024 * 1024;
};

/// Serves its services on any number of connections.
/// Owns: the connections. Not the services, which must outlive it. Thread: the loop's only.
class Server {
  public:
    using Acceptor = asio::local::stream_protocol::acceptor;

    Server(const asio::any_io_executor& executor, Logger logger, ServerOptions options = {});
    /// `stop` was awaited, or nothing was ever served.
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Offers `service` under its name or, if given, under `name`. Before serving.
    void add(Service& service, std::string_view name = {});

    /// Accepts connections and serves each, until `stop`. Goes on, after a pause, when it is out of
    /// descriptors or memory. Throws: Error when the acceptor is unusable.
    /// Cancels: stops accepting; the connections live on until `stop`.
    Awaitable<> serve(Acceptor acceptor);

    /// Serves one connection until it ends, then cancels its handlers and waits for their end.
    /// Throws: nothing but the cancellation. Cancels: ends the connection.
    Awaitable<> serve_connection(StreamSocket socket);

    /// Stops accepting, ends all connections, waits until their handlers and the `serve` calls have
    /// ended. Idempotent. Not from a handler, whose end it waits for.
    /// Cancels: waits on all the same (see TaskGroup::stop).
    Awaitable<> stop();

    /// Until no peer is connected; goes on serving. Cancels: the wait, and nothing else.
    Awaitable<> wait_peers_gone();

    std::size_t connections() const noexcept { return connections_.size(); }

  private:
    friend class ServerConnection;

    Service* find(std::string_view name) const;

    asio::any_io_executor executor_;
    Logger logger_;
    ServerOptions options_;
    std::map<std::string, Service*, std::less<>> services_;
    std::set<ServerConnection*> connections_;
    std::set<Acceptor*> acceptors_;
    bool stopping_ = false;
    Event changed_;   // a connection or an acceptor ended
    TaskGroup tasks_; // the accepted connections
};

} // namespace cppvm::ttrpc
