#pragma once

#include "common/async/asio.hpp"

#include <cstddef>
#include <optional>
#include <span>

namespace cppvm::io {

/// Where a process's input comes from. Thread: the loop's only.
class InputSource {
  public:
    InputSource() = default;
    InputSource(const InputSource&) = delete;
    InputSource& operator=(const InputSource&) = delete;
    virtual ~InputSource() = default;

    /// Until there is something to read (or the end).
    /// Throws: boost::system::system_error when closed. Cancels: nothing is lost.
    virtual Awaitable<> wait_readable() = 0;

    /// Reads what is there. 0: the end. Nothing: not readable after all.
    /// Throws: Error; boost::system::system_error when closed.
    virtual std::optional<std::size_t> read_some(std::span<std::byte> buffer) = 0;

    /// Lets the end of input come once no client holds the other end. Idempotent.
    virtual void drop_write_end() noexcept = 0;

    /// Takes no more; `wait_readable` and `read_some` throw from then on. Idempotent.
    virtual void close() noexcept = 0;

    /// Awaited before destruction. Closes, and ends what runs beside the loop's callers.
    /// Idempotent, does not throw.
    virtual Awaitable<> stop() {
        close();
        co_return;
    }
};

} // namespace cppvm::io
