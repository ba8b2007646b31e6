#pragma once

#include "common/async/asio.hpp"
#include "common/async/task_group.hpp"
#include "common/log/logger.hpp"
#include "guest-agent/stdio/stdio_stream.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>

namespace cppvm::guest {

/// The stdio streams of the machine by their ids: parked, as long as no request has named them,
/// then in use. Owns: the connections of parked ones, at most `capacity`, each until it is taken,
/// the host closes it or `lifetime` is over. `stop` must have been awaited before the destructor.
/// Thread: the loop's only.
class StdioTable {
  public:
    StdioTable(
        const asio::any_io_executor& executor,
        Logger logger,
        std::size_t capacity = 256,
        std::chrono::milliseconds lifetime = std::chrono::seconds(60)
    );

    /// False for id 0, an id that was parked or taken already, a full table.
    bool accepts(std::uint64_t id) const;

    /// False, and the connection closed, for an id that is not accepted.
    bool park(std::uint64_t id, StreamSocket connection);

    /// A parked stream; null if there is none. From now on it is in use, until nobody holds it.
    std::shared_ptr<StdioStream> take(std::uint64_t id);

    /// A stream in use; null if there is none.
    std::shared_ptr<StdioStream> find(std::uint64_t id) const;

    /// Parked ones.
    std::size_t size() const noexcept { return parked_.size(); }

    Awaitable<> stop();

  private:
    using Parked = std::shared_ptr<StreamSocket>;

    Awaitable<> watch(std::uint64_t id, Parked connection);

    asio::any_io_executor executor_;
    Logger logger_;
    std::size_t capacity_;
    std::chrono::milliseconds lifetime_;
    std::map<std::uint64_t, Parked> parked_;
    std::map<std::uint64_t, std::weak_ptr<StdioStream>> in_use_;
    TaskGroup tasks_;
};

} // namespace cppvm::guest
