#pragma once

#include "common/async/asio.hpp"
#include "common/log/logger.hpp"
#include "host/io/fifo.hpp"
#include "host/io/output_sink.hpp"

#include <boost/asio/buffer.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

namespace cppvm::io {

/// Copies one output stream of the guest to a sink.
/// Memory: a buffer of at most 64 KiB while a frame is on its way, none between frames.
/// Owns: both. Thread: the loop's only.
class OutputPump {
  public:
    OutputPump(StreamSocket socket, std::unique_ptr<OutputSink> sink, Logger logger);

    /// Until the end frame, or until the connection breaks or carries nonsense (logged as a
    /// warning: the guest is not trusted). What came before is written in each case. If the sink
    /// fails, that is logged once and the rest is read and dropped: the process must not die of a
    /// full disk on the host. Closes the connection at the end, as the reader has to; the sink
    /// stays open. Throws: only the abort of a cancellation.
    Awaitable<> copy();

    /// After `copy`: OutputSink::finish, and closes the sink.
    Awaitable<> finish();

    /// Takes what the guest still sends, until it is silent for `max_silence`, at most
    /// `max_last_bytes` (more than all buffers on the way hold), and waits for it no longer than
    /// `max_last_time` in all: makes `copy` end although somebody in the guest holds the stream
    /// open, or even writes on. A slow or absent reader on the host is no silence of the guest:
    /// nothing is lost to it.
    void last_call() noexcept;

    static constexpr std::chrono::milliseconds max_silence{1000};
    static constexpr std::chrono::milliseconds max_last_time{4000};
    static constexpr std::size_t max_last_bytes = 1024UL * 1024;

  private:
    Awaitable<std::optional<std::uint32_t>> read_header();
    Awaitable<bool> copy_payload(std::uint32_t length);
    void report_end(const boost::system::error_code& error) const;
    Awaitable<std::pair<boost::system::error_code, std::size_t>> read(asio::mutable_buffer buffer);
    Awaitable<std::pair<boost::system::error_code, std::size_t>>
    read_some(asio::mutable_buffer buffer);

    StreamSocket socket_;
    std::unique_ptr<OutputSink> sink_;
    Logger logger_;
    bool reading_ = false;
    bool last_call_ = false;
    std::size_t last_bytes_ = max_last_bytes;
    std::chrono::steady_clock::duration last_time_ = max_last_time;
    bool sink_works_ = true;
};

/// Copies `fifo` to the guest until its end, then sends the end frame and returns true. False: the
/// connection broke or the fifo failed or was closed. Leaves both open.
/// Memory: a buffer of 64 KiB while there is something to read, none while waiting.
/// Cancels: returns false.
Awaitable<bool> pump_input(InputFifo& fifo, StreamSocket& socket, const Logger& logger);

/// Until the guest has closed a connection on which only we send (or sends what it must not).
Awaitable<> wait_closed(StreamSocket& socket);

} // namespace cppvm::io
