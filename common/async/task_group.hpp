#pragma once

#include "common/async/asio.hpp"
#include "common/async/event.hpp"
#include "common/log/logger.hpp"

#include <boost/asio/cancellation_signal.hpp>

#include <list>
#include <string>

namespace cppvm {

/// Owns coroutines that run beside their starter. Declared as the last member of the object whose
/// members they use, so that it is checked before those members go.
/// Thread: the loop's only.
class TaskGroup {
  public:
    TaskGroup(const asio::any_io_executor& executor, Logger logger);
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;
    /// The group must be empty: `stop` or `join` was awaited, or nothing was spawned.
    ~TaskGroup();

    /// Starts `task` on the loop (not before the caller yields). An exception that ends it is
    /// logged as an error under `name`, except the cancellation of `stop`.
    /// Throws: Error (failed_precondition) after `stop` or `join` was called.
    void spawn(std::string name, Awaitable<> task);

    /// Refuses new tasks, cancels those that run and waits for their end. Idempotent.
    /// Cancels: waits on all the same, since the tasks use what the awaiting coroutine owns.
    /// Clean-up in a coroutine that may have been cancelled already switches
    /// asio::this_coro::throw_if_cancelled off first, or the co_await itself throws.
    Awaitable<> stop();

    /// Awaits `operation`, then `stop`, whatever came of the operation and also when it was
    /// cancelled. Throws: what the operation throws.
    Awaitable<> stop_after(Awaitable<> operation);

    /// Refuses new tasks and waits for those that run.
    Awaitable<> join();

    /// Until none runs. New ones may come at any time.
    Awaitable<> wait_empty();

    /// Cancels those that run, without waiting. For destructors of programs that end anyway.
    void cancel() noexcept;

    std::size_t size() const noexcept { return tasks_.size(); }

  private:
    struct Entry {
        std::string name;
        asio::cancellation_signal signal;
    };

    asio::any_io_executor executor_;
    Logger logger_;
    std::list<Entry> tasks_;
    Event empty_;
    bool closed_ = false;
};

} // namespace cppvm
