#pragma once

#include "common/async/asio.hpp"
#include "common/async/event.hpp"

#include <memory>

namespace cppvm {

/// An operation that runs once, however many ask for it: the first caller starts it, and every
/// caller returns when it has ended. For `stop` functions, which free what they end.
/// Thread: the loop's only.
class RunOnce {
  public:
    explicit RunOnce(const asio::any_io_executor& executor);

    /// `operation` must not throw, and must keep alive what it uses: a caller that is cancelled
    /// leaves, and the operation goes on. One that is not the first is dropped without being
    /// started. This object may go while callers wait.
    /// Cancels: the wait; the cancellation is thrown once the operation has ended.
    Awaitable<> run(Awaitable<> operation);

    bool has_begun() const noexcept { return state_->begun; }
    bool has_ended() const noexcept { return state_->ended.is_set(); }

  private:
    struct State {
        explicit State(const asio::any_io_executor& executor) : ended(executor) {}
        bool begun = false;
        Event ended;
    };

    std::shared_ptr<State> state_;
};

} // namespace cppvm
