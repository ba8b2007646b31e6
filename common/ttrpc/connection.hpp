#pragma once

#include "common/async/asio.hpp"
#include "common/async/event.hpp"
#include "common/base/error.hpp"
#include "common/ttrpc/frame.hpp"

#include <boost/system/error_code.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace cppvm::ttrpc {

/// What every use of an ended connection reports. containerd knows the text.
Error closed_error();

/// Takes the frames that come in, one after the other.
class FrameSink {
  public:
    FrameSink() = default;
    FrameSink(const FrameSink&) = delete;
    FrameSink& operator=(const FrameSink&) = delete;
    virtual ~FrameSink() = default;

    /// The next frame is not read before this returns. An exception ends the connection.
    virtual Awaitable<> on_frame(Frame frame) = 0;
};

/// Frames over a stream socket: one reader, one writer that keeps the order of `push`.
/// Owns: the socket. Thread: the loop's only.
class Connection {
  public:
    using Written = std::function<void()>;

    explicit Connection(StreamSocket socket);

    /// Reads and writes until the connection ends: the peer closed or broke it, or `close`.
    /// Cancels: closes the connection; throws the cancellation. Throws: what `sink` throws.
    Awaitable<> run(FrameSink& sink);

    /// Returns once the queue of outgoing frames is below its limit, so that a peer that does not
    /// read holds its own calls up and nothing else. Throws: Error "ttrpc: closed".
    Awaitable<> room();

    /// Returns once the kernel has every frame that was pushed. Throws: Error "ttrpc: closed".
    Awaitable<> flush();

    /// Queues a frame. `written` is called when the kernel has it, or the connection ended; at once
    /// if it has ended already.
    void push(std::string frame, Written written = {});

    /// Ends the connection now; queued frames are dropped. Idempotent.
    void close() noexcept;

    bool is_closed() const noexcept { return closed_; }
    /// Why it ended: "End of file" and the like.
    std::string end_reason() const;

    StreamSocket& socket() noexcept { return socket_; }

  private:
    struct Outgoing {
        std::string bytes;
        Written written;
    };

    Awaitable<> read_loop(FrameSink& sink);
    Awaitable<> write_loop();

    StreamSocket socket_;
    std::vector<Outgoing> queue_;
    std::vector<Outgoing> writing_; // the batch that the writer has handed to the socket
    std::size_t queued_bytes_ = 0;  // of both
    Event more_;                    // the queue is not empty
    Event room_;                    // the queue is below its limit
    Event flushed_;                 // there is none
    boost::system::error_code end_;
    bool closed_ = false;
};

} // namespace cppvm::ttrpc
