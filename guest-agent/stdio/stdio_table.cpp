#include "guest-agent/stdio/stdio_table.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"

namespace cppvm::guest {

StdioTable::StdioTable(
    const asio::any_io_executor& executor,
    Logger logger,
    std::size_t capacity,
    std::chrono::milliseconds lifetime
)
    : logger_(logger), capacity_(capacity), lifetime_(lifetime),
      tasks_(executor, std::move(logger)) {}

bool StdioTable::accepts(std::uint64_t token) const {
    return token != 0 && parked_.size() < capacity_ && parked_.find(token) == parked_.end();
}

bool StdioTable::park(std::uint64_t token, StreamSocket connection) {
    if (!accepts(token)) {
        return false;
    }
    auto entry = std::make_shared<StreamSocket>(std::move(connection));
    parked_.emplace(token, entry);
    tasks_.spawn("parked stdio connection", watch(token, std::move(entry)));
    return true;
}

std::optional<StreamSocket> StdioTable::take(std::uint64_t token) {
    const auto found = parked_.find(token);
    if (found == parked_.end()) {
        return std::nullopt;
    }
    found->second->cancel(); // ends `watch`
    StreamSocket connection = std::move(*found->second);
    parked_.erase(found);
    return connection;
}

namespace {

/// What the host has sent already stays in the socket for whoever takes it.
Awaitable<> wait_hang_up(StreamSocket& connection) {
    co_await connection.async_wait(asio::socket_base::wait_error, use_tuple);
}

} // namespace

Awaitable<> StdioTable::watch(std::uint64_t token, Parked connection) {
    if (!co_await ends_by(wait_hang_up(*connection), deadline_in(lifetime_))) {
        logger_.warn("Nobody claimed a stdio stream", {{"token", token}});
    }
    const auto found = parked_.find(token);
    if (found != parked_.end() && found->second == connection) {
        parked_.erase(found);
    }
}

Awaitable<> StdioTable::stop() {
    co_await tasks_.stop();
    parked_.clear();
}

} // namespace cppvm::guest
