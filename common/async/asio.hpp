#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>

namespace cppvm {

namespace asio = boost::asio;

/// A coroutine that gives a T. Starts when awaited; cancelled through its TaskGroup or
/// with_timeout.
template <class T = void>
using Awaitable = asio::awaitable<T>;

/// Absolute, so that it is passed down and not extended on the way.
using Deadline = std::chrono::steady_clock::time_point;
inline constexpr Deadline no_deadline = Deadline::max();
inline Deadline deadline_in(std::chrono::steady_clock::duration duration) {
    return std::chrono::steady_clock::now() + duration;
}
/// For calls that take a duration, such as poll(2): rounded up, 0 only when the deadline has
/// passed.
inline std::chrono::milliseconds left_until(Deadline deadline) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    return std::max(left, std::chrono::milliseconds(0));
}

/// A connected stream socket of any family: unix or vsock.
using StreamSocket = asio::generic::stream_protocol::socket;

/// For loops in which end of file or an abort is normal:
/// `auto [ec, n] = co_await socket.async_read_some(buffer, use_tuple);`
inline constexpr auto use_tuple = asio::as_tuple(asio::use_awaitable);

} // namespace cppvm
