#pragma once

#include "common/async/asio.hpp"

#include <boost/asio/co_spawn.hpp>

#include <exception>
#include <optional>
#include <type_traits>

namespace cppvm {

/// A program's one coroutine: runs it on `loop` until it ends, then stops the loop, whatever else
/// waits there. Blocks. Throws: what it throws.
template <class T>
T run_until_done(asio::io_context& loop, Awaitable<T> main) {
    std::exception_ptr failure;
    if constexpr (std::is_void_v<T>) {
        asio::co_spawn(loop, std::move(main), [&](const std::exception_ptr& exception) {
            failure = exception;
            loop.stop();
        });
        loop.run();
        if (failure) {
            std::rethrow_exception(failure);
        }
    } else {
        std::optional<T> result;
        asio::co_spawn(loop, std::move(main), [&](const std::exception_ptr& exception, T value) {
            failure = exception;
            result.emplace(std::move(value));
            loop.stop();
        });
        loop.run();
        if (failure) {
            std::rethrow_exception(failure);
        }
        return std::move(*result);
    }
}

/// The same on a loop of its own.
template <class T>
T run_until_done(Awaitable<T> main) {
    asio::io_context loop(1);
    return run_until_done(loop, std::move(main));
}

} // namespace cppvm
