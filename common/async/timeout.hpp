#pragma once

#include "common/async/asio.hpp"
#include "common/base/error.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/steady_timer.hpp>

#include <optional>
#include <string>

namespace cppvm {

namespace detail {

/// Throws what a bounded operation ended with. A result that came in the same turn as the time-out
/// counts; an abort counts as a time-out only if the timer fired and nobody outside cancelled.
void check_timeout(
    const std::exception_ptr& failure,
    bool timer_fired,
    bool cancelled_outside,
    std::string_view what
);

template <class T>
Awaitable<std::optional<T>> optional_result(Awaitable<T> operation) {
    co_return co_await std::move(operation);
}

} // namespace detail

/// Runs `operation`, cancelled at `deadline`. `what` names it in the error: "wait for agent hello".
/// Throws: Error (deadline_exceeded) "<what>: timed out"; else what the operation throws.
/// Cancels: the operation, and throws its abort (never reported as a time-out).
template <class T>
Awaitable<T> with_timeout(Awaitable<T> operation, Deadline deadline, std::string what) {
    if (deadline == no_deadline) {
        co_return co_await std::move(operation);
    }
    auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor, deadline);
    if constexpr (std::is_void_v<T>) {
        auto group = asio::experimental::make_parallel_group(
            asio::co_spawn(executor, std::move(operation), asio::deferred),
            timer.async_wait(asio::deferred)
        );
        auto [order, failure, timer_error] =
            co_await group.async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
        auto state = co_await asio::this_coro::cancellation_state;
        const bool cancelled = state.cancelled() != asio::cancellation_type::none;
        detail::check_timeout(failure, order[0] == 1 && !timer_error, cancelled, what);
    } else {
        auto group = asio::experimental::make_parallel_group(
            asio::co_spawn(
                executor, detail::optional_result<T>(std::move(operation)), asio::deferred
            ),
            timer.async_wait(asio::deferred)
        );
        auto [order, failure, result, timer_error] =
            co_await group.async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
        auto state = co_await asio::this_coro::cancellation_state;
        const bool cancelled = state.cancelled() != asio::cancellation_type::none;
        detail::check_timeout(failure, order[0] == 1 && !timer_error, cancelled, what);
        co_return std::move(*result);
    }
}

/// Runs `operation`, cancelled at `deadline`; says whether it came to its end before that. Its
/// result is dropped. Throws: what the operation throws. Cancels: the operation, and throws its
/// abort.
template <class T>
Awaitable<bool> ends_by(Awaitable<T> operation, Deadline deadline) {
    try {
        co_await with_timeout(std::move(operation), deadline, "wait");
        co_return true;
    } catch (const Error& error) {
        if (error.code() != Code::deadline_exceeded) {
            throw;
        }
    }
    co_return false;
}

/// Runs `operation` to its end (or to `deadline`) even if the awaiting coroutine is cancelled
/// meanwhile: for awaited clean-up. The abort, if there was one, is thrown at the caller's next
/// wait, not here.
template <class T>
Awaitable<T> shielded(Awaitable<T> operation, Deadline deadline, std::string what) {
    auto executor = co_await asio::this_coro::executor;
    // A slot that nobody emits on replaces the one of the awaiting coroutine.
    asio::cancellation_signal nobody;
    if constexpr (std::is_void_v<T>) {
        co_await asio::co_spawn(
            executor,
            with_timeout(std::move(operation), deadline, std::move(what)),
            asio::bind_cancellation_slot(nobody.slot(), asio::use_awaitable)
        );
    } else {
        auto result = co_await asio::co_spawn(
            executor,
            detail::optional_result<T>(with_timeout(std::move(operation), deadline, std::move(what))
            ),
            asio::bind_cancellation_slot(nobody.slot(), asio::use_awaitable)
        );
        co_return std::move(*result);
    }
}

} // namespace cppvm
