#pragma once

#include "common/async/asio.hpp"
#include "common/base/error.hpp"

#include <string>
#include <utility>

namespace cppvm::testing {

/// The message of the Error that `action` throws.
template <class F>
std::string failure_of(F action) {
    try {
        action();
    } catch (const Error& error) {
        return error.message();
    }
    return "nothing was thrown";
}

/// The same of an operation that is awaited.
template <class T>
Awaitable<std::string> failure_of(Awaitable<T> operation) {
    try {
        co_await std::move(operation);
    } catch (const Error& error) {
        co_return error.message();
    }
    co_return "nothing was thrown";
}

} // namespace cppvm::testing
