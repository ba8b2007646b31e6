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
    /// Cancels: leaves the event as it is; throws the abort.
    Awaitable<> wait();

  private:
    asio::steady_timer timer_; // never expires: cancelled to wake the waiters
    bool set_ = false;
};

} // namespace cppvm
