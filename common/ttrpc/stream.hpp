#pragma once

#include "common/async/asio.hpp"
#include "common/async/event.hpp"
#include "common/base/error.hpp"
#include "common/ttrpc/stream_table.hpp"
#include "common/ttrpc/types.hpp"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

namespace cppvm::ttrpc {

class Connection;

/// One side of a bidirectional stream of messages. Client: made by Client::open_stream and not to
/// outlive the client. Server: lent to Service::stream until that returns.
/// ttrpc has no flow control for streams: a peer that sends further although as much lies unread
/// here as the policy allows makes the stream fail with resource_exhausted.
/// Thread: the loop's only; at most one `receive` and one `send` at a time.
class Stream : private Receiver {
  public:
    /// What the peer calls this side's end: a client says it with an empty data frame, a server's
    /// end is the end of the whole stream and said by the library when the handler returns.
    enum class Side { client, server };

    /// For Client and Server. Borrows all references. `name` is "service/method".
    Stream(
        Connection& connection,
        StreamTable& table,
        const PeerPolicy& policy,
        Side side,
        std::string name,
        Deadline deadline
    );
    ~Stream() override; ///< the peer is told that nothing follows; what it still sends is dropped

    /// Waits while the connection's outgoing queue is full.
    /// Throws: Error; unavailable "ttrpc: closed"; failed_precondition after `close_send` or when
    /// the peer has ended the stream; the status with which it did; resource_exhausted above 4 MiB;
    /// deadline_exceeded.
    Awaitable<> send(std::string message);

    /// The same without a wait, for messages whose number something else bounds. Nothing happens on
    /// a stream that takes no more.
    void post(const std::string& message);

    /// Returns once the kernel has what was sent so far. Throws: Error "ttrpc: closed".
    Awaitable<> flush();

    /// Client: the peer gets end of input. Idempotent; nothing happens on an ended stream.
    void close_send();

    /// The next message, or nothing when the peer has sent its last.
    /// Throws: Error; the peer's status; unavailable "ttrpc: closed"; deadline_exceeded.
    /// Cancels: nothing is lost, the next `receive` goes on.
    Awaitable<std::optional<std::string>> receive();

  private:
    friend class Client;
    friend class ServerConnection;

    bool on_frame(Frame frame) override;
    void on_failure(const Error& error) override;

    /// Server: what came with the request. `open`: data frames follow.
    void start_input(std::string payload, bool open);
    bool on_response(const Frame& frame);
    bool on_data(Frame frame);
    bool is_over() const noexcept;                // nothing that is sent would arrive
    bool end();                                   // false: no frame may follow
    bool fail(Code code, const std::string& why); // whether the table keeps the stream

    Connection& connection_;
    StreamTable& table_;
    const PeerPolicy& policy_;
    Side side_;
    std::string name_;
    Deadline deadline_;
    std::uint32_t id_ = 0; // 0 until the owner has one
    std::deque<std::string> messages_;
    std::size_t bytes_ = 0; // of messages_
    bool peer_ended_ = false;
    bool send_closed_ = false;
    std::optional<Error> failure_; // reported after the messages that came before it
    Event changed_;
};

} // namespace cppvm::ttrpc
