#include "common/ttrpc/server.hpp"

#include "common/base/assert.hpp"
#include "common/base/error.hpp"
#include "common/base/scope_exit.hpp"
#include "common/ttrpc/server_connection.hpp"

#include <boost/asio/steady_timer.hpp>

#include <cerrno>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace cppvm::ttrpc {

namespace {

/// Pause after a failed accept: out of descriptors or memory, which passes.
constexpr auto accept_pause = std::chrono::milliseconds(100);

bool is_unusable(const boost::system::error_code& error) {
    const int number = error.value();
    return number == EBADF || number == EINVAL || number == ENOTSOCK || number == EOPNOTSUPP;
}

/// Throws: Error (permission_denied) unless the peer runs as our effective user and group.
void check_peer(int socket) {
    ucred peer{};
    socklen_t size = sizeof(peer);
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
        throw_errno("read credentials of", "peer");
    }
    if (peer.uid != ::geteuid() || peer.gid != ::getegid()) {
        throw Error(
            Code::permission_denied,
            "peer runs as user " + std::to_string(peer.uid) + " and group " +
                std::to_string(peer.gid) + ", not as we do"
        );
    }
}

} // namespace

Server::Server(const asio::any_io_executor& executor, Logger logger, ServerOptions options)
    : executor_(executor), logger_(std::move(logger)), options_(options), changed_(executor),
      tasks_(executor, logger_) {}

Server::~Server() {
    CPPVM_ASSERT(connections_.empty() && acceptors_.empty());
}

void Server::add(Service& service, std::string_view name) {
    services_.insert_or_assign(std::string(name.empty() ? service.name() : name), &service);
}

Service* Server::find(std::string_view name) const {
    const auto entry = services_.find(name);
    return entry == services_.end() ? nullptr : entry->second;
}

Awaitable<> Server::serve(Acceptor acceptor) {
    if (stopping_) {
        co_return;
    }
    acceptors_.insert(&acceptor);
    const ScopeExit forget([this, &acceptor] {
        acceptors_.erase(&acceptor);
        changed_.set();
    });
    asio::steady_timer pause(executor_);
    bool failing = false;
    while (!stopping_) {
        StreamSocket socket(executor_);
        auto [error] = co_await acceptor.async_accept(socket, use_tuple);
        if (stopping_ || error == asio::error::operation_aborted) {
            co_return;
        }
        if (error && is_unusable(error)) {
            throw Error(Code::internal, "accept connections: " + error.message(), error);
        }
        if (error) {
            if (!std::exchange(failing, true)) {
                logger_.warn("Cannot accept a connection, retrying", {{"error", error.message()}});
            }
            pause.expires_after(accept_pause);
            co_await pause.async_wait(use_tuple);
            continue;
        }
        failing = false;
        if (connections_.size() >= options_.max_connections) {
            logger_.warn("Connection refused: too many", {{"limit", options_.max_connections}});
            continue;
        }
        tasks_.spawn("serve connection", serve_connection(std::move(socket)));
    }
}

Awaitable<> Server::serve_connection(StreamSocket socket) {
    if (stopping_) {
        co_return;
    }
    if (options_.check_peer_credentials) {
        try {
            check_peer(socket.native_handle());
        } catch (const Error& error) {
            logger_.warn("Connection refused", {{"error", error.message()}});
            co_return;
        }
    }
    ServerConnection connection(*this, std::move(socket), logger_);
    try {
        co_await connection.run();
    } catch (const std::exception& error) {
        const Status status = to_status(std::current_exception());
        if (status.code == Code::cancelled) {
            throw;
        }
        logger_.error("Connection failed", {{"error", status.message}});
    }
}

Awaitable<> Server::wait_peers_gone() {
    while (!connections_.empty()) {
        changed_.clear();
        co_await changed_.wait();
    }
}

Awaitable<> Server::stop() {
    stopping_ = true;
    for (auto* acceptor : acceptors_) {
        boost::system::error_code ignored;
        acceptor->close(ignored);
    }
    for (auto* connection : connections_) {
        connection->close();
    }
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    while (!connections_.empty() || !acceptors_.empty()) {
        changed_.clear();
        co_await changed_.wait_uninterrupted();
    }
    co_await tasks_.stop();
    co_await asio::this_coro::throw_if_cancelled(throws);
}

} // namespace cppvm::ttrpc
