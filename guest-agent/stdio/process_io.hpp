#pragma once

#include "common/async/asio.hpp"
#include "common/async/task_group.hpp"
#include "common/base/unique_fd.hpp"
#include "common/log/logger.hpp"
#include "guest-agent/stdio/stdio_stream.hpp"

#include <memory>

namespace cppvm::guest {

/// The streams of one process: each is a coroutine between a pipe (or terminal) and connections of
/// its own, so a slow reader holds up nothing but its own stream. What travels in which form is in
/// common/wire/stream_frame.hpp. While the host has no connection to a stream, the process waits as
/// it does for a reader that is slow; after StdioStream::resume_limit the stream is closed.
/// Owns: its streams. `stop` must have been awaited before the destructor.
/// Thread: the loop's only.
class ProcessIo {
  public:
    ProcessIo(const asio::any_io_executor& executor, Logger logger);

    /// From the host to the process. The end of the stream closes `sink`, then is confirmed; a
    /// terminal's user sees nothing of that as long as somebody holds another descriptor of it.
    /// When the process closes its end, the stream is refused.
    void add_input(std::shared_ptr<StdioStream> stream, UniqueFd sink);

    /// From the process to the host, until nobody can write any more; then the end is sent. Over
    /// once the host has confirmed that, or refuses the stream.
    void add_output(std::shared_ptr<StdioStream> stream, UniqueFd source);

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
