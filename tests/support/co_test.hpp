#pragma once

#include "common/async/asio.hpp"
#include "common/async/timeout.hpp"

#include <boost/asio/co_spawn.hpp>
#include <gtest/gtest.h>

namespace cppvm::testing {

/// Runs a coroutine on a loop of its own until it ends, at most `limit`; then fails the test if
/// work is left on the loop. Exceptions fail the test with their text.
inline void co_test(Awaitable<> body, std::chrono::seconds limit = std::chrono::seconds(20)) {
    asio::io_context loop;
    std::exception_ptr failure;
    bool finished = false;
    asio::co_spawn(
        loop,
        with_timeout(std::move(body), deadline_in(limit), "test"),
        [&](const std::exception_ptr& exception) {
            failure = exception;
            finished = true;
        }
    );
    while (!finished && loop.run_one() > 0) {
    }
    if (failure) {
        try {
            std::rethrow_exception(failure);
        } catch (const std::exception& exception) {
            ADD_FAILURE() << "test body threw: " << exception.what();
        }
    }
    EXPECT_TRUE(finished) << "the loop ran out of work before the test body ended";
    // Handlers that are already due may run; nothing may be waiting for the outside.
    loop.restart();
    loop.poll();
    EXPECT_TRUE(loop.stopped()) << "work is left on the loop after the test body ended";
}

} // namespace cppvm::testing
