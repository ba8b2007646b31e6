#pragma once

#include "common/async/task_group.hpp"
#include "common/ttrpc/client.hpp"
#include "proto/cppvm/agent.ttrpc.hpp"

#include <memory>
#include <string>

namespace cppvm::agent {

/// One RPC connection to the agent. The guest is not trusted: its statuses come through
/// `from_guest`, and its answers are bounded.
///
/// Owns: the socket. Whoever makes a call holds the connection until the call has ended.
/// Thread: the loop's only.
class Connection : public std::enable_shared_from_this<Connection> {
  public:
    Connection(const asio::any_io_executor& executor, StreamSocket socket, Logger logger);

    /// The agent's service. Calls fail with unavailable once the connection has ended.
    v2::AgentClient& rpc() noexcept { return rpc_; }

    bool is_closed() const noexcept { return client_.is_closed(); }
    /// Why it has ended, if the guest broke the rules; else empty.
    const std::string& violation() const noexcept { return violation_; }

    /// Closes the connection: calls that wait fail with unavailable. Idempotent; must be awaited
    /// before destruction.
    Awaitable<> stop();

  private:
    Awaitable<> run();

    ttrpc::Client client_;
    v2::AgentClient rpc_;
    std::string violation_;
    TaskGroup tasks_;
};

} // namespace cppvm::agent
