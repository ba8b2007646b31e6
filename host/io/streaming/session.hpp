#pragma once

#include "common/async/asio.hpp"
#include "common/async/event.hpp"
#include "common/async/task_group.hpp"
#include "common/log/logger.hpp"
#include "host/io/streaming/address.hpp"
#include "host/io/streaming/channel.hpp"
#include "host/io/streaming/message.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>

namespace cppvm::io::streaming {

/// One stream at a streaming server, over as many connections as it takes: containerd may end and
/// come back, and is asked for the same stream again.
///
/// What it cannot promise: the protocol confirms nothing. What the kernel has taken from us and the
/// server had not read when its connection broke is lost, at most the window it had granted (64 KiB
/// of Go's peers, sometimes 128). Nothing is sent twice.
///
/// Owns: the connection; `stop` must have been awaited. Thread: the loop's only.
class Session {
  public:
    /// Who is told what happens. Never from within a call of its own.
    class Listener {
      public:
        Listener() = default;
        Listener(const Listener&) = delete;
        Listener& operator=(const Listener&) = delete;
        virtual ~Listener() = default;

        /// There is a new connection: both windows start afresh.
        virtual void on_connected() = 0;
        /// Throws: Error, if the peer may not send that; it ends the session.
        virtual void on_message(Message message) = 0;
        /// The session is over: the peer has ended the stream, or `failure`.
        virtual void on_end(std::optional<Error> failure) noexcept = 0;
    };

    struct Limits {
        std::chrono::milliseconds connect{5'000}; ///< one attempt, to the server's word
        std::chrono::milliseconds first_pause{50};
        std::chrono::milliseconds last_pause{2'000};  ///< between attempts; they double until then
        std::chrono::milliseconds reconnect{600'000}; ///< until a lost stream is given up
    };

    Session(
        const asio::any_io_executor& executor,
        Logger logger,
        Address address,
        std::string containerd_namespace,
        Listener& listener,
        Limits limits
    );

    /// The first connection, with one attempt. Once. Throws: as Channel::open.
    Awaitable<> open();

    /// Sends a message. False: the connection is broken, and the peer has nothing of the message;
    /// it may be sent again once there is a connection. Throws: only a cancellation.
    Awaitable<bool> send(std::string message);
    /// The same without a wait, for what the peer's own messages bound.
    void post(const std::string& message);
    bool is_connected() const noexcept { return connected_; }

    /// Tells the peer, over a further connection if need be, that nothing more comes.
    void finish();
    /// The end of the present connection, if there is one, is that of the session from now on.
    void connect_no_more() noexcept { no_more_.set(); }

    const Address& address() const noexcept { return address_; }

    /// Ends everything; the listener hears no more. Idempotent, does not throw.
    Awaitable<> stop();

  private:
    Awaitable<> run();
    Awaitable<bool> listen();
    Awaitable<> connect();
    Awaitable<bool> reconnect();

    Logger logger_;
    Address address_;
    std::string namespace_;
    Listener& listener_;
    Limits limits_;
    std::shared_ptr<Channel> channel_; ///< the last one
    bool connected_ = false;
    bool finishing_ = false;
    Event no_more_;
    std::chrono::steady_clock::time_point connected_at_;
    std::chrono::milliseconds pause_{};
    Deadline give_up_ = no_deadline;
    TaskGroup tasks_;
};

} // namespace cppvm::io::streaming
