#pragma once

#include "common/async/asio.hpp"
#include "common/stream/sent_bytes.hpp"

#include <cstddef>
#include <optional>

namespace cppvm::stream {

/// Reads the next bytes of a source into `bytes`, which has room for some; gives their number, 0 at
/// the source's end. `try_read(room)` reads without waiting (nothing: there is nothing now), and
/// `wait()` is an Awaitable until there may be something: what they throw is thrown. Cancels: no
/// byte is lost.
/// Memory: none while it waits, if `bytes` holds nothing. A source that goes on without a pause is
/// read without a wait.
template <class TryRead, class Wait>
Awaitable<std::size_t> read_some(SentBytes& bytes, TryRead try_read, Wait wait) {
    std::optional<std::size_t> count;
    if (bytes.has_memory()) {
        count = try_read(bytes.room());
    }
    while (!count) {
        bytes.trim();
        co_await wait();
        count = try_read(bytes.room());
    }
    bytes.commit(*count);
    co_return *count;
}

} // namespace cppvm::stream
