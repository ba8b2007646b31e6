#pragma once

#include "common/async/asio.hpp"
#include "common/async/task_group.hpp"
#include "common/base/unique_fd.hpp"
#include "common/log/logger.hpp"

namespace cppvm::guest {

/// The streams of one process: each is a coroutine between a pipe (or terminal) and a connection of
/// its own, so a slow reader holds up nothing but its own stream. What travels in which form is in
/// common/wire/stream_frame.hpp.
/// Owns: its streams. `stop` must have been awaited before the destructor.
/// Thread: the loop's only.
class ProcessIo {
  public:
    ProcessIo(const asio::any_io_executor& executor, Logger logger);

    /// From the host to the process. The end of the stream closes `sink`, then the connection; a
    /// terminal's user sees nothing of that as long as somebody holds another descriptor of it.
    /// When the process closes its end, the connection is closed.
    void add_input(StreamSocket connection, UniqueFd sink);

    /// From the process to the host, until nobody can write any more; then the end is sent, and the
    /// connection closed once the host has closed its side (or after 10 s).
    void add_output(StreamSocket connection, UniqueFd source);

    /// Reads and drops: for a terminal that nobody listens to, so that writers are not held up.
    void discard_output(UniqueFd source);

    std::size_t open_streams() const noexcept { return tasks_.size(); }

    /// Until no stream is open. Any number of waiters.
    Awaitable<> wait_ended();

    /// Ends what is left, whatever is under way. Idempotent.
    Awaitable<> stop();

  private:
    asio::any_io_executor executor_;
    TaskGroup tasks_;
};

} // namespace cppvm::guest
