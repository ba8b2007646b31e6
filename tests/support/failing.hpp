#pragma once

#include "common/async/asio.hpp"
#include "common/base/error.hpp"

namespace cppvm::testing {

/// An operation that fails at once: unknown, "broken".
inline Awaitable<> fail() {
    throw Error(Code::unknown, "broken");
    co_return;
}

} // namespace cppvm::testing
