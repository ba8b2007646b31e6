#pragma once

#include "common/async/asio.hpp"

#include <boost/asio/signal_set.hpp>

#include <functional>
#include <map>
#include <sys/types.h>

namespace cppvm::guest {

/// Reaps every child of the agent: the containers' processes and, as PID 1, orphans of all kinds.
/// There is no second place that waits for a child.
/// Thread: the loop's only.
class Reaper {
  public:
    /// Gets the status as waitpid(2) gives it. Must not throw.
    using Handler = std::function<void(int status)>;

    explicit Reaper(const asio::any_io_executor& executor);

    /// Calls `handler` once, when the child has been reaped. To be called in the turn of the loop
    /// in which the child was made, so that it cannot be reaped before.
    void watch(pid_t pid, Handler handler);

    /// Until cancelled.
    Awaitable<> run();

  private:
    void reap();

    asio::signal_set signals_;
    std::map<pid_t, Handler> handlers_;
};

/// 0-255, or 128 + signal, as shells and containerd have it.
unsigned exit_status(int status) noexcept;

} // namespace cppvm::guest
