#pragma once

#include "common/async/asio.hpp"
#include "common/log/logger.hpp"
#include "common/stream/confirmation_writer.hpp"
#include "host/io/guest_stream.hpp"
#include "host/io/output_sink.hpp"

#include <boost/asio/buffer.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>

namespace cppvm::io {

/// Copies one output stream of the guest to a sink, over as many connections as it takes.
/// Memory: a buffer of at most 64 KiB while a frame is on its way, none between frames.
/// Owns: both. Thread: the loop's only.
class OutputPump {
  public:
    OutputPump(GuestStream stream, std::unique_ptr<OutputSink> sink, Logger logger);
    OutputPump(const OutputPump&) = delete;
    OutputPump& operator=(const OutputPump&) = delete;
    /// Refuses what the guest would still send.
    ~OutputPump();

    /// Until the end frame, or until the stream cannot be resumed or carries nonsense (logged as a
    /// warning: the guest is not trusted). What came before is written in each case. If the sink
    /// fails, that is logged once and the rest is read and dropped: the process must not die of a
    /// full disk on the host. The sink stays open. Throws: only a cancellation.
    Awaitable<> copy();

    /// After `copy`: OutputSink::finish, and closes the sink.
    Awaitable<> finish();

    /// Takes what the guest still sends, until it is silent for `max_silence`, at most
    /// `max_last_bytes` (more than all buffers on the way hold), and waits for it no longer than
    /// `max_last_time` in all: makes `copy` end although somebody in the guest holds the stream
    /// open, or even writes on. A slow or absent reader on the host is no silence of the guest:
    /// nothing is lost to it.
    void last_call() noexcept;

    /// Bytes of the guest's so far.
    std::uint64_t received() const noexcept { return received_; }

    static constexpr std::chrono::milliseconds max_silence{1000};
    static constexpr std::chrono::milliseconds max_last_time{4000};
    static constexpr std::size_t max_last_bytes = 1024UL * 1024;

  private:
    enum class FrameEnd {
        frame,        ///< there may be another
        stream,       ///< the guest's end frame
        cut,          ///< nothing more is wanted, or can be believed
        disconnected, ///< the connection broke
    };

    Awaitable<FrameEnd> copy_frame();
    Awaitable<FrameEnd> copy_payload(std::uint32_t length);
    Awaitable<bool> resume();
    void refuse_more() noexcept;
    FrameEnd end_by(const boost::system::error_code& error) const;
    Awaitable<std::pair<boost::system::error_code, std::size_t>> read(asio::mutable_buffer buffer);
    Awaitable<std::pair<boost::system::error_code, std::size_t>>
    read_some(asio::mutable_buffer buffer);

    GuestStream stream_;
    stream::ConfirmationWriter confirmations_;
    std::uint64_t received_ = 0;
    bool over_ = false; ///< and the guest knows
    std::unique_ptr<OutputSink> sink_;
    Logger logger_;
    bool reading_ = false;
    bool last_call_ = false;
    std::size_t last_bytes_ = max_last_bytes;
    std::chrono::steady_clock::duration last_time_ = max_last_time;
    bool sink_works_ = true;
};

} // namespace cppvm::io
