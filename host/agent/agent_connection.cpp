#include "host/agent/agent_connection.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/wire/ports.hpp"
#include "common/wire/preamble.hpp"
#include "host/agent/guest_status.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

namespace cppvm::agent {

namespace {

// The largest answer is a list of processes, of which a machine has at most 32,768, with some seven
// bytes for each; an exec's stream carries two messages.
ttrpc::PeerPolicy guest_policy() {
    return {
        .max_reply_bytes = 256UL * 1024,
        .max_unread_bytes = 256UL * 1024,
        .map_status = from_guest,
    };
}

Awaitable<StreamSocket>
dial(vm::VirtualMachine& machine, wire::Preamble preamble, Deadline deadline) {
    StreamSocket socket = co_await machine.dial(wire::agent_port, deadline);
    const auto head = wire::encode(preamble);
    co_await asio::async_write(socket, asio::buffer(head), asio::use_awaitable);
    std::uint8_t answer = 0;
    auto [error, size] =
        co_await asio::async_read(socket, asio::buffer(&answer, sizeof answer), use_tuple);
    if (error) {
        throw Error(Code::unavailable, "open connection to guest agent: " + error.message(), error);
    }
    if (answer != wire::accepted) {
        throw Error(
            Code::failed_precondition, "open connection to guest agent: the agent refused it"
        );
    }
    co_return socket;
}

} // namespace

Awaitable<std::shared_ptr<AgentConnection>>
AgentConnection::open(vm::VirtualMachine& machine, Logger logger, Deadline deadline) {
    auto executor = co_await asio::this_coro::executor;
    StreamSocket socket = co_await with_timeout(
        dial(machine, {wire::ConnectionKind::rpc, 0}, deadline), deadline, "connect to guest agent"
    );
    co_return std::make_shared<AgentConnection>(executor, machine, std::move(socket), logger);
}

AgentConnection::AgentConnection(
    const asio::any_io_executor& executor,
    vm::VirtualMachine& machine,
    StreamSocket socket,
    Logger logger
)
    : machine_(machine), client_(std::move(socket), logger, guest_policy()), rpc_(client_),
      closed_(executor), tasks_(executor, logger) {
    tasks_.spawn("agent connection", run());
}

Awaitable<> AgentConnection::run() {
    std::exception_ptr failure;
    try {
        co_await client_.run();
    } catch (...) {
        failure = std::current_exception();
    }
    closed_.set();
    if (failure) {
        std::rethrow_exception(failure);
    }
}

Awaitable<StreamSocket> AgentConnection::open_stream(std::uint64_t token, Deadline deadline) {
    co_return co_await with_timeout(
        dial(machine_, {wire::ConnectionKind::stdio, token}, deadline),
        deadline,
        "open stdio stream to guest agent"
    );
}

Awaitable<> AgentConnection::wait_closed() {
    co_await closed_.wait();
}

Awaitable<> AgentConnection::stop() {
    const auto self = shared_from_this();
    co_await client_.stop();
    co_await tasks_.stop();
    closed_.set();
}

} // namespace cppvm::agent
