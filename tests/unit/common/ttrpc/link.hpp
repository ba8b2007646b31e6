#pragma once

#include "common/async/task_group.hpp"
#include "common/ttrpc/client.hpp"
#include "common/ttrpc/server.hpp"
#include "tests/unit/common/ttrpc/echo_service.hpp"

#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <memory>
#include <utility>

namespace cppvm::ttrpc::testing {

inline std::pair<StreamSocket, StreamSocket> socket_pair(const asio::any_io_executor& executor) {
    asio::local::stream_protocol::socket one(executor);
    asio::local::stream_protocol::socket other(executor);
    asio::local::connect_pair(one, other);
    return {std::move(one), std::move(other)};
}

/// A server with the echo service. `stop` has to be awaited.
class Served {
  public:
    explicit Served(
        const asio::any_io_executor& executor, ServerOptions options = {}, Logger logger = {}
    )
        : service(executor), server(executor, logger, options), tasks(executor, logger) {
        server.add(service);
    }

    Awaitable<> stop() {
        co_await server.stop();
        co_await tasks.stop();
    }

    EchoService service;
    Server server;
    TaskGroup tasks;
};

/// A client and a server over a socket pair. `stop` has to be awaited.
class Link : public Served {
  public:
    explicit Link(
        const asio::any_io_executor& executor, ServerOptions options = {}, Logger logger = {}
    )
        : Served(executor, options, logger) {
        auto [here, there] = socket_pair(executor);
        client = std::make_unique<Client>(std::move(here), logger);
        tasks.spawn("client", client->run());
        tasks.spawn("server", server.serve_connection(std::move(there)));
    }

    Awaitable<> stop() {
        co_await client->stop();
        co_await Served::stop();
    }

    Awaitable<std::string> call(std::string method, std::string payload, CallOptions options = {}) {
        return client->call(
            "test.v1.Echo", std::move(method), std::move(payload), std::move(options)
        );
    }

    std::unique_ptr<Client> client;
};

/// The status that `operation` fails with; ok if it does not fail.
template <class T>
Awaitable<Status> status_of(Awaitable<T> operation) {
    try {
        co_await std::move(operation);
    } catch (...) {
        co_return to_status(std::current_exception());
    }
    co_return Status{};
}

} // namespace cppvm::ttrpc::testing
