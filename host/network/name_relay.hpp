#pragma once

#include "common/async/asio.hpp"
#include "common/async/task_group.hpp"
#include "common/log/logger.hpp"
#include "common/stream/name_connection.hpp"

#include <boost/asio/ip/address.hpp>

#include <string>

namespace cppvm::network {

/// Forwards DNS queries from the guest to a name server that listens at a loopback address of a
/// network namespace of the host, such as docker's at 127.0.0.11; the other end is
/// guest-agent/network/name_server.hpp.
/// Thread: the loop's only.
class NameRelay {
  public:
    /// `network_namespace`: borrowed.
    NameRelay(
        const asio::any_io_executor& executor,
        Logger logger,
        int network_namespace,
        asio::ip::address server
    );

    /// Serves the agent's connection until it breaks. Once. Cancels: as when it breaks.
    Awaitable<> run(StreamSocket agent);

    /// Questions at a time; further ones are dropped, and will be asked again.
    static constexpr std::size_t max_questions = 128;

  private:
    Awaitable<> ask(wire::NameMessage question, stream::NameConnection& agent);
    Awaitable<std::string> ask_by_udp(const std::string& question);
    Awaitable<std::string> ask_by_tcp(const std::string& question);

    asio::any_io_executor executor_;
    Logger logger_;
    int namespace_;
    asio::ip::address server_;
    TaskGroup tasks_;
};

} // namespace cppvm::network
