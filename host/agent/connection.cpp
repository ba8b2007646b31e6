#include "host/agent/connection.hpp"

#include "common/base/error.hpp"
#include "host/agent/guest_status.hpp"

namespace cppvm::agent {

namespace {

// The largest answer is a list of processes, of which a machine has at most 32,768, with some seven
// bytes for each. An event has some ten; those that are not read are those of one turn of the loop.
ttrpc::PeerPolicy guest_policy() {
    return {
        .max_reply_bytes = 256UL * 1024,
        .max_unread_bytes = 256UL * 1024,
        .map_status = from_guest,
    };
}

} // namespace

Connection::Connection(const asio::any_io_executor& executor, StreamSocket socket, Logger logger)
    : client_(std::move(socket), logger, guest_policy()), rpc_(client_),
      tasks_(executor, std::move(logger)) {
    tasks_.spawn("agent connection", run());
}

Awaitable<> Connection::run() {
    try {
        co_await client_.run();
    } catch (const Error& error) {
        violation_ = error.message();
    }
}

Awaitable<> Connection::stop() {
    const auto self = shared_from_this();
    co_await client_.stop();
    co_await tasks_.stop();
}

} // namespace cppvm::agent
