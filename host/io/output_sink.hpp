#pragma once

#include "common/async/asio.hpp"

#include <cstddef>
#include <span>

namespace cppvm::io {

/// Where one output stream of a process goes. Destroying it closes it, whatever is unread.
/// Thread: the loop's only; one caller at a time.
class OutputSink {
  public:
    OutputSink() = default;
    OutputSink(const OutputSink&) = delete;
    OutputSink& operator=(const OutputSink&) = delete;
    virtual ~OutputSink() = default;

    /// Writes all of `data`, which must outlive the call; waits for as long as the reader is slow
    /// or absent (back-pressure).
    /// Throws: Error; the sink may be used again, though what it then gets may have a gap.
    /// Cancels: a part may have been written.
    virtual Awaitable<> write(std::span<const std::byte> data) = 0;

    /// The stream has ended: gives the reader its end of file, and returns, once the reader has
    /// read all else, or has read nothing for a while. A reader that is absent is waited for as
    /// long as something is unread. Cancels: the sink stays as it is.
    virtual Awaitable<> finish() = 0;
};

} // namespace cppvm::io
