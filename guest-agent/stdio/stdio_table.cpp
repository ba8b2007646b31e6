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
    : executor_(executor), logger_(logger), capacity_(capacity), lifetime_(lifetime),
      tasks_(executor, std::move(logger)) {}

bool StdioTable::accepts(std::uint64_t id) const {
    return id != 0 && parked_.size() < capacity_ && !parked_.contains(id) && !find(id);
}

bool StdioTable::park(std::uint64_t id, StreamSocket connection) {
    if (!accepts(id)) {
        return false;
    }
    auto entry = std::make_shared<StreamSocket>(std::move(connection));
    parked_.emplace(id, entry);
    tasks_.spawn("parked stdio connection", watch(id, std::move(entry)));
    return true;
}

std::shared_ptr<StdioStream> StdioTable::take(std::uint64_t id) {
    const auto found = parked_.find(id);
    if (found == parked_.end()) {
        return nullptr;
    }
    found->second->cancel(); // ends `watch`
    auto stream = std::make_shared<StdioStream>(executor_, std::move(*found->second));
    parked_.erase(found);
    std::erase_if(in_use_, [](const auto& entry) { return entry.second.expired(); });
    in_use_.emplace(id, stream);
    return stream;
}

std::shared_ptr<StdioStream> StdioTable::find(std::uint64_t id) const {
    const auto found = in_use_.find(id);
    return found == in_use_.end() ? nullptr : found->second.lock();
}

namespace {

/// What the host has sent already stays in the socket for whoever takes it.
Awaitable<> wait_hang_up(StreamSocket& connection) {
    co_await connection.async_wait(asio::socket_base::wait_error, use_tuple);
}

} // namespace

Awaitable<> StdioTable::watch(std::uint64_t id, Parked connection) {
    if (!co_await ends_by(wait_hang_up(*connection), deadline_in(lifetime_))) {
        logger_.warn("Nobody claimed a stdio stream", {{"id", id}});
    }
    const auto found = parked_.find(id);
    if (found != parked_.end() && found->second == connection) {
        parked_.erase(found);
    }
}

Awaitable<> StdioTable::stop() {
    co_await tasks_.stop();
    parked_.clear();
}

} // namespace cppvm::guest
