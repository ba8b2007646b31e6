#pragma once

#include "common/async/asio.hpp"

#include <boost/asio/steady_timer.hpp>

namespace cppvm {

/// A flag that coroutines wait for. Stays set until `clear`.
/// Thread: the loop's only.
class Event {
  public:
    explicit Event(const asio::any_io_executor& executor);

    void set() noexcept;
    void clear() noexcept { set_ = false; }
    bool is_set() const noexcept { return set_; }

    /// Returns at once when set, else when it is. Any number of waiters.
    /// Cancels: leaves the event as it is; throws the cancellation.
    Awaitable<> wait();

    /// The same, but cancelling the awaiting coroutine does not end it: for the end of work that
    /// uses what the coroutine owns. The abort is thrown at the next wait. A coroutine that has
    /// been cancelled already must have switched asio::this_coro::throw_if_cancelled off.
    Awaitable<> wait_uninterrupted();

  private:
    asio::steady_timer timer_; // never expires: cancelled to wake the waiters
    bool set_ = false;
};

} // namespace cppvm
