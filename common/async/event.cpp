#include "common/async/event.hpp"

namespace cppvm {

Event::Event(const asio::any_io_executor& executor) : timer_(executor, Deadline::max()) {}

void Event::set() noexcept {
    set_ = true;
    timer_.cancel();
}

Awaitable<> Event::wait() {
    while (!set_) {
        co_await timer_.async_wait(use_tuple);
        auto state = co_await asio::this_coro::cancellation_state;
        if (state.cancelled() != asio::cancellation_type::none) {
            throw boost::system::system_error(asio::error::operation_aborted);
        }
    }
}

Awaitable<> Event::wait_uninterrupted() {
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    while (!set_) {
        co_await timer_.async_wait(use_tuple);
    }
    co_await asio::this_coro::throw_if_cancelled(throws);
}

} // namespace cppvm
