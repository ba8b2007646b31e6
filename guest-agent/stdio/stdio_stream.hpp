#pragma once

#include "common/async/asio.hpp"
#include "common/async/event.hpp"
#include "common/stream/stream_sender.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

namespace cppvm::guest {

/// The connections of one stdio stream, one after the other: the host dials, the first time and
/// whenever the one before is lost.
/// Owns: a connection that nobody has asked for yet; shares the one in use.
/// Thread: the loop's only.
class StdioStream {
  public:
    StdioStream(const asio::any_io_executor& executor, StreamSocket first);
    StdioStream(const StdioStream&) = delete;
    StdioStream& operator=(const StdioStream&) = delete;
    ~StdioStream() = default;

    /// The next connection, for which it waits; nothing if the host does not dial in
    /// `resume_limit`.
    Awaitable<std::optional<stream::Connection>> next();

    /// Takes the place of the connection in use, which is shut down. `host_received`: bytes that
    /// have arrived at the host.
    void resume(StreamSocket connection, std::uint64_t host_received);

    /// False once another connection has taken its place: the host sends again what this one has
    /// brought since.
    bool is_in_use(const stream::Connection& connection) const noexcept {
        return in_use_.lock() == connection.socket;
    }

    /// Bytes of an input stream that have arrived here. Counted by whoever reads them.
    std::uint64_t received = 0;

    static constexpr std::chrono::seconds resume_limit{30};

  private:
    std::optional<stream::Connection> waiting_;
    std::weak_ptr<StreamSocket> in_use_;
    Event has_waiting_;
};

} // namespace cppvm::guest
