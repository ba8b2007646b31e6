#pragma once

#include "common/async/asio.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>

#include <exception>
#include <utility>
#include <vector>

namespace cppvm {

/// Runs operations beside each other until all have ended; when one fails the others are cancelled.
/// Throws: what the first one that failed threw. Cancels: all.
inline Awaitable<> all_of(std::vector<Awaitable<>> operations) {
    if (operations.empty()) {
        co_return;
    }
    auto executor = co_await asio::this_coro::executor;
    const auto spawn = [&](Awaitable<>& operation) {
        return asio::co_spawn(executor, std::move(operation), asio::deferred);
    };
    std::vector<decltype(spawn(operations.front()))> spawned;
    spawned.reserve(operations.size());
    for (Awaitable<>& operation : operations) {
        spawned.push_back(spawn(operation));
    }
    auto [order, failures] =
        co_await asio::experimental::make_parallel_group(std::move(spawned))
            .async_wait(asio::experimental::wait_for_one_error(), asio::use_awaitable);
    for (const std::size_t index : order) {
        if (failures[index]) {
            std::rethrow_exception(failures[index]);
        }
    }
}

} // namespace cppvm
