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

bool StdioTable::accepts(std::uint64_t token) const {
    return token != 0 && parked_.size() < capacity_ && parked_.find(token) == parked_.end();
}

bool StdioTable::park(std::uint64_t token, StreamSocket connection) {
    if (!accepts(token)) {
        return false;
    }
    auto entry = std::make_shared<Parked>(Parked{std::move(connection), Event(executor_)});
    parked_.emplace(token, entry);
    tasks_.spawn("expiry of stdio connection", expire(token, std::move(entry)));
    return true;
}

std::optional<StreamSocket> StdioTable::take(std::uint64_t token) {
    const auto found = parked_.find(token);
    if (found == parked_.end()) {
        return std::nullopt;
    }
    StreamSocket connection = std::move(found->second->connection);
    found->second->taken.set();
    parked_.erase(found);
    return connection;
}

Awaitable<> StdioTable::expire(std::uint64_t token, std::shared_ptr<Parked> entry) {
    try {
        co_await with_timeout(entry->taken.wait(), deadline_in(lifetime_), "claim of stdio stream");
    } catch (const Error& error) {
        if (error.code() != Code::deadline_exceeded || entry->taken.is_set()) {
            throw;
        }
        logger_.warn("Nobody claimed a stdio stream", {{"token", token}});
        parked_.erase(token);
    }
}

Awaitable<> StdioTable::stop() {
    co_await tasks_.stop();
    parked_.clear();
}

} // namespace cppvm::guest
