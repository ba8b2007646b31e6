#pragma once

#include "common/async/event.hpp"

#include <memory>

namespace cppvm {

/// A lock for coroutines: one holds it, the others wait for it, in no particular order.
/// Thread: the loop's only.
class Turn {
    struct Release {
        void operator()(Event* free) const noexcept { free->set(); }
    };

  public:
    /// Whoever has one holds the lock until it is destroyed. The Turn must outlive it.
    using Held = std::unique_ptr<Event, Release>;

    explicit Turn(const asio::any_io_executor& executor) : free_(executor) { free_.set(); }

    /// Returns once nobody else holds it. Cancels: nothing is held.
    Awaitable<Held> take() {
        while (!free_.is_set()) {
            co_await free_.wait();
        }
        free_.clear();
        co_return Held(&free_);
    }

  private:
    Event free_;
};

} // namespace cppvm
