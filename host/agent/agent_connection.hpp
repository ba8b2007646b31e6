#pragma once

#include "common/async/task_group.hpp"
#include "common/ttrpc/client.hpp"
#include "host/vm/virtual_machine.hpp"
#include "proto/cppvm/agent.ttrpc.hpp"

#include <memory>

namespace cppvm::agent {

/// What the agent tells of an exec, in the order of agent.proto.
using ExecEvents = ttrpc::ReplyReader<v1::ExecEvent>;

/// The host's side of the agent in one virtual machine: one RPC connection, and stdio streams.
/// The guest is not trusted: its statuses come through `from_guest`, and its answers are bounded.
///
/// Owns: the RPC connection. Borrows the machine, which must not go before `stop` was awaited.
/// Whoever makes a call holds the connection until the call has ended.
/// Thread: the loop's only.
class AgentConnection : public std::enable_shared_from_this<AgentConnection> {
  public:
    /// Dials the agent and opens the RPC connection. Only after the machine's hello.
    /// Throws: Error (unavailable, deadline_exceeded). Cancels: nothing is left.
    static Awaitable<std::shared_ptr<AgentConnection>>
    open(vm::VirtualMachine& machine, Logger logger, Deadline deadline);

    AgentConnection(
        const asio::any_io_executor& executor,
        vm::VirtualMachine& machine,
        StreamSocket socket,
        Logger logger
    );

    /// The agent's service. Calls fail with unavailable once the connection has ended.
    v1::AgentClient& rpc() noexcept { return rpc_; }

    /// Opens a stdio stream, which the agent parks under `token` until a request names it.
    /// Throws: Error (unavailable, deadline_exceeded; failed_precondition: the agent refused).
    Awaitable<StreamSocket> open_stream(std::uint64_t token, Deadline deadline);

    /// A token that this connection has not used yet; never 0.
    std::uint64_t next_token() noexcept { return ++last_token_; }

    /// Until the RPC connection has ended, for whatever reason.
    Awaitable<> wait_closed();

    /// Closes the connection: calls that wait fail with unavailable. Idempotent; must be awaited
    /// before destruction.
    Awaitable<> stop();

  private:
    Awaitable<> run();

    vm::VirtualMachine& machine_;
    ttrpc::Client client_;
    v1::AgentClient rpc_;
    std::uint64_t last_token_ = 0;
    Event closed_;
    TaskGroup tasks_;
};

} // namespace cppvm::agent
