#pragma once

#include "common/async/asio.hpp"
#include "common/async/task_group.hpp"
#include "common/log/logger.hpp"
#include "common/ttrpc/client.hpp"
#include "host/io/streaming/address.hpp"
#include "host/io/streaming/message.hpp"

#include <memory>
#include <optional>
#include <string>

namespace cppvm::io::streaming {

/// One connection to a streaming server, with one stream on it
/// (containerd.services.streaming.v1.Streaming/Stream; core/streaming in containerd's sources).
/// Owns: the connection; `stop` must have been awaited. Thread: the loop's only.
class Channel {
  public:
    /// Connects, names the stream, and waits for the server's word that it has it.
    /// `containerd_namespace`: where containerd looks for the stream.
    /// Throws: Error naming the stream; failed_precondition when the server refuses it;
    /// deadline_exceeded. Cancels, throws: nothing is left.
    static Awaitable<std::shared_ptr<Channel>>
    open(Logger logger, Address address, std::string containerd_namespace, Deadline deadline);

    /// Use `open`.
    Channel(const asio::any_io_executor& executor, StreamSocket socket, const Logger& logger);

    /// Returns once the kernel has the message. Throws: Error; whether the peer has got it is not
    /// known then, but if the kernel has not got all of it the peer has nothing of it.
    Awaitable<> send(std::string message);

    /// The same without a wait, for what the peer's own messages bound.
    void post(const std::string& message) { stream_->post(message); }

    /// The peer is told that nothing more comes. Idempotent.
    void close_send() { stream_->close_send(); }

    /// The peer's next message, serialised; nothing when it has ended the stream.
    /// Throws: Error, when it ended the stream with an error or the connection broke.
    Awaitable<std::optional<std::string>> receive() { return stream_->receive(); }

    /// Ends the connection; every call fails from then on. Idempotent, does not throw.
    Awaitable<> stop();

  private:
    Awaitable<> begin(std::string id, std::string containerd_namespace, Deadline deadline);

    ttrpc::Client client_;
    std::unique_ptr<ttrpc::Stream> stream_;
    TaskGroup tasks_;
};

} // namespace cppvm::io::streaming
