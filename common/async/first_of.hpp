#pragma once

#include "common/async/asio.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>

#include <exception>
#include <utility>

namespace cppvm {

/// Runs two operations until one has ended, cancels the other and waits for its end too. Returns
/// the index of the one that ended first. For "this, unless that happens before"; not for
/// time-outs, which are with_timeout's. Throws: what the first one threw. Cancels: both.
inline Awaitable<std::size_t> first_of(Awaitable<> left, Awaitable<> right) {
    auto executor = co_await asio::this_coro::executor;
    auto group = asio::experimental::make_parallel_group(
        asio::co_spawn(executor, std::move(left), asio::deferred),
        asio::co_spawn(executor, std::move(right), asio::deferred)
    );
    auto [order, left_failure, right_failure] =
        co_await group.async_wait(asio::experimental::wait_for_one(), asio::use_awaitable);
    const std::exception_ptr failure = order[0] == 0 ? left_failure : right_failure;
    if (failure) {
        std::rethrow_exception(failure);
    }
    co_return order[0];
}

} // namespace cppvm
