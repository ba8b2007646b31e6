#pragma once

#include "common/async/asio.hpp"
#include "common/async/event.hpp"
#include "common/log/logger.hpp"
#include "common/ttrpc/connection.hpp"
#include "common/ttrpc/envelope.hpp"
#include "common/ttrpc/stream.hpp"
#include "common/ttrpc/stream_table.hpp"
#include "common/ttrpc/types.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace cppvm::ttrpc {

/// The client's end of one ttrpc connection: any number of calls at once, each answered whenever
/// the server likes. A server that keeps sending what belongs to no call loses the connection.
/// Owns: the socket. The owner runs `run` in a TaskGroup that ends before the client goes, as all
/// calls must. Thread: the loop's only.
class Client : private FrameSink {
  public:
    Client(StreamSocket socket, Logger logger, PeerPolicy policy = {});
    ~Client() override;

    /// Reader and writer. Returns when the connection has ended; from then on (and at once, for
    /// those that wait) every call fails with unavailable, "ttrpc: closed".
    /// Cancels: ends the connection; throws the cancellation.
    Awaitable<> run();

    /// One call; gives the serialised reply. Calls made before `run` wait for it.
    /// Throws: Error; the server's status; unavailable "ttrpc: closed"; deadline_exceeded "call
    /// <service>/<method>: timed out"; resource_exhausted when the request is above 4 MiB or the
    /// reply above the policy's limit; internal when the reply makes no sense.
    /// Cancels: the server goes on (ttrpc cannot tell it); its late reply is dropped.
    Awaitable<std::string>
    call(std::string service, std::string method, std::string payload, CallOptions options = {});

    /// A stream on which both sides send. The server learns of it at once.
    /// Throws: as `call`, before the stream exists.
    Awaitable<std::unique_ptr<Stream>>
    open_stream(std::string service, std::string method, CallOptions options = {});

    /// A stream on which only the server sends, in answer to `payload`.
    /// Throws: as `call`, before the stream exists. Cancels: the server goes on, its messages are
    /// dropped.
    Awaitable<std::unique_ptr<Stream>> open_replies(
        std::string service, std::string method, std::string payload, CallOptions options = {}
    );

    /// Ends the connection and waits until `run` has returned. Idempotent.
    /// Cancels: waits on all the same (see TaskGroup::stop).
    Awaitable<> stop();

    bool is_closed() const noexcept { return connection_.is_closed(); }

  private:
    Awaitable<> on_frame(Frame frame) override;
    /// Waits for room, then sends the request under the next id, in one step: the ids on the wire
    /// must rise. Returns the id.
    Awaitable<std::uint32_t>
    start(Receiver& receiver, std::uint8_t flags, Request request, Deadline deadline);
    /// `flags`: whether the client will send on it (flag_remote_open) or not (flag_remote_closed).
    Awaitable<std::unique_ptr<Stream>> start_stream(
        std::uint8_t flags,
        std::string service,
        std::string method,
        std::string payload,
        CallOptions options
    );

    void count_stray();

    Logger logger_;
    PeerPolicy policy_;
    Connection connection_;
    StreamTable streams_;
    std::uint64_t begun_ = 0; ///< calls and streams so far
    std::uint64_t stray_ = 0; ///< frames so far that belonged to none of them
    Event stopped_;           // run is not running
};

} // namespace cppvm::ttrpc
