#pragma once

#include "common/async/asio.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>

#include <exception>
#include <type_traits>
#include <utility>

namespace cppvm {

/// Awaits `operation`. If it fails or is cancelled, awaits what `undo()` returns, to its end even
/// if there is another cancellation; so the undo must be bounded. Throws: what the operation
/// throws, or what the undo throws instead.
template <class T, class Undo>
Awaitable<T> with_undo(Awaitable<T> operation, Undo undo) {
    std::exception_ptr failure;
    try {
        co_return co_await std::move(operation);
    } catch (...) {
        failure = std::current_exception();
    }
    // After a cancellation every await would throw at once, and the undo's own waits with it.
    co_await asio::this_coro::throw_if_cancelled(false);
    asio::cancellation_signal nobody;
    co_await asio::co_spawn(
        co_await asio::this_coro::executor,
        undo(),
        asio::bind_cancellation_slot(nobody.slot(), asio::use_awaitable)
    );
    co_await asio::this_coro::throw_if_cancelled(true);
    std::rethrow_exception(failure);
}

} // namespace cppvm
