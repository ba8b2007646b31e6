#pragma once

#include "common/async/asio.hpp"
#include "common/async/task_group.hpp"
#include "common/log/logger.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>

namespace cppvm::guest {

/// Stdio connections that the host has opened and that no request has named yet.
/// Owns: the connections, at most `capacity`, each until it is taken, the host closes it or
/// `lifetime` is over. `stop` must have been
/// awaited before the destructor. Thread: the loop's only.
class StdioTable {
  public:
    StdioTable(
        const asio::any_io_executor& executor,
        Logger logger,
        std::size_t capacity = 256,
        std::chrono::milliseconds lifetime = std::chrono::seconds(60)
    );

    /// False for token 0, a token that is parked already, a full table.
    bool accepts(std::uint64_t token) const;

    /// False, and the connection closed, for a token that is not accepted.
    bool park(std::uint64_t token, StreamSocket connection);

    /// The connection of a token; nothing if there is none.
    std::optional<StreamSocket> take(std::uint64_t token);

    std::size_t size() const noexcept { return parked_.size(); }

    Awaitable<> stop();

  private:
    using Parked = std::shared_ptr<StreamSocket>;

    Awaitable<> watch(std::uint64_t token, Parked connection);

    Logger logger_;
    std::size_t capacity_;
    std::chrono::milliseconds lifetime_;
    std::map<std::uint64_t, Parked> parked_;
    TaskGroup tasks_;
};

} // namespace cppvm::guest
