#pragma once

#include "common/async/asio.hpp"
#include "common/async/task_group.hpp"
#include "common/log/logger.hpp"
#include "common/stream/name_connection.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>

#include <array>
#include <cstdint>
#include <map>

namespace cppvm::guest {

/// Listens at a loopback address of the guest, port 53, in the place of a name server that listens
/// there on the host's side: each question goes to the host, and its answer comes back.
/// Thread: the loop's only.
class NameServer {
  public:
    /// Listens, by UDP and TCP. Throws: Error where somebody else has the port.
    NameServer(
        const asio::any_io_executor& executor, Logger logger, const asio::ip::address& address
    );

    /// Serves until the connection to the host breaks. Once. Cancels: as when it breaks.
    Awaitable<> run(StreamSocket host);

  private:
    /// Of a question by TCP, until its answer is there.
    struct Asker {
        explicit Asker(const asio::any_io_executor& executor) : answered(executor) {}

        Event answered;
        std::string answer;
    };
    struct Sender {
        std::uint32_t asker = 0;
        asio::ip::udp::endpoint endpoint;
    };
    static constexpr std::size_t max_senders = 1024; ///< by UDP, whose answers are awaited
    static constexpr std::size_t max_connections = 64;

    void hear(const wire::NameMessage& answer);
    Awaitable<> receive(stream::NameConnection& host);
    Awaitable<> accept(stream::NameConnection& host);
    Awaitable<> serve(asio::ip::tcp::socket client, stream::NameConnection& host);

    asio::any_io_executor executor_;
    asio::ip::udp::socket udp_;
    asio::ip::tcp::acceptor tcp_;
    std::uint32_t last_asker_ = 0;
    std::array<Sender, max_senders> senders_;
    std::map<std::uint32_t, Asker*> askers_;
    TaskGroup tasks_;
};

} // namespace cppvm::guest
