#pragma once

#include "common/async/asio.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace cppvm {

/// One thread for calls that may block (mounts, fsync). It starts with the first call, so a process
/// that never needs it does not pay for it.
class BlockingPool {
  public:
    BlockingPool();
    BlockingPool(const BlockingPool&) = delete;
    BlockingPool& operator=(const BlockingPool&) = delete;
    ~BlockingPool(); ///< waits for the call that runs

    /// Runs `function` on the pool's thread and gives its result on the awaiting coroutine's
    /// executor. `function` must own what it uses: cancelling the awaiting coroutine does not stop
    /// it, nor does it return earlier.
    /// Throws: what `function` throws.
    template <class F>
    Awaitable<std::invoke_result_t<F>> run(F function) {
        // Without a slot: Asio would pass a cancellation to the other thread by a pointer into this
        // one's state, which may be gone when it gets there.
        auto result = co_await asio::co_spawn(
            pool().get_executor(),
            call(std::move(function)),
            asio::bind_cancellation_slot(asio::cancellation_slot(), asio::use_awaitable)
        );
        if constexpr (!std::is_void_v<std::invoke_result_t<F>>) {
            co_return std::move(*result);
        }
    }

  private:
    // An optional, because co_spawn wants results that can be default-constructed.
    template <class F>
    static auto call(F function) -> Awaitable<std::optional<std::conditional_t<
        std::is_void_v<std::invoke_result_t<F>>,
        bool,
        std::invoke_result_t<F>>>> {
        if constexpr (std::is_void_v<std::invoke_result_t<F>>) {
            function();
            co_return true;
        } else {
            co_return function();
        }
    }

    asio::thread_pool& pool();

    std::unique_ptr<asio::thread_pool> pool_;
};

} // namespace cppvm
