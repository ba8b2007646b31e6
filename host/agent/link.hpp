#pragma once

#include "common/async/event.hpp"
#include "common/async/task_group.hpp"
#include "common/stream/stream_sender.hpp"
#include "common/wire/preamble.hpp"
#include "host/agent/connection.hpp"
#include "host/agent/guest_process.hpp"
#include "host/vm/virtual_machine.hpp"

#include <boost/asio/ip/address.hpp>

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace cppvm::agent {

/// Whether a call may be made again where a connection broke before its answer came.
enum class Repeat { no, yes };

/// The host's side of the agent in one virtual machine, over as many connections as it takes:
/// calls, the guest's events, stdio streams. A connection that breaks is dialled again; processes
/// live on meanwhile. Without a connection for `Limits::reconnect`, or if the guest breaks them
/// again and again, the link is lost for good.
///
/// Owns: the RPC connection. Borrows the machine, which must not go before `stop` was awaited and
/// every call has ended. Whoever makes a call holds the link until the call has ended.
/// Thread: the loop's only.
class Link : public std::enable_shared_from_this<Link> {
  public:
    struct Limits {
        std::chrono::milliseconds reconnect{3000};
        std::chrono::milliseconds resume{10'000}; ///< of a stdio stream
        std::chrono::milliseconds pause{50};      ///< before each further attempt
        std::size_t redials = 8;                  ///< in `redial_period`
        std::chrono::milliseconds redial_period{60'000};
    };

    /// Dials the agent. Only after the machine's hello. `on_event`: hears what the guest
    /// reports besides exits, and what may be anything; must not throw.
    /// Throws: Error (unavailable, deadline_exceeded). Cancels: nothing is left.
    static Awaitable<std::shared_ptr<Link>> open(
        vm::VirtualMachine& machine,
        Logger logger,
        Limits limits,
        std::function<void(const v2::Event&)> on_event,
        Deadline deadline
    );

    Link(
        const asio::any_io_executor& executor,
        vm::VirtualMachine& machine,
        Logger logger,
        Limits limits,
        std::function<void(const v2::Event&)> on_event,
        std::shared_ptr<Connection> first
    );
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;
    ~Link() = default; ///< `stop` must have been awaited

    /// One call: `link->call(&v2::AgentClient::set_clock, request, deadline)`. Waits for a
    /// connection first.
    /// Throws: what the guest answers, see `from_guest`; Error (deadline_exceeded); Error
    /// (unavailable) if the connection broke before the answer and the call must not be repeated,
    /// or if the link is lost.
    template <class Request, class Response>
    Awaitable<Response> call(
        Awaitable<Response> (v2::AgentClient::*method)(const Request&, ttrpc::CallOptions),
        Request request,
        Deadline deadline,
        Repeat repeat = Repeat::no
    ) {
        const auto self = shared_from_this();
        for (;;) {
            const auto connection = co_await connected(deadline);
            try {
                co_return co_await (connection->rpc().*method)(
                    request, {.deadline = deadline, .metadata = {}}
                );
            } catch (const Error& error) {
                check_repeat(error, repeat);
            }
        }
    }

    /// A new number for a process, to be named in the request that makes it. Its exit is looked out
    /// for as long as somebody holds what is returned.
    std::shared_ptr<GuestProcess> new_process();

    /// Sequence number of the last event that came, for requests that carry it.
    std::uint64_t events_seen() const noexcept { return events_seen_; }

    /// An id that no stream has had; never 0.
    std::uint64_t new_stream_id() noexcept { return ++last_stream_; }

    /// Opens a stdio stream, which the agent parks under `id` until a request names it.
    /// Throws: Error (unavailable, deadline_exceeded; failed_precondition: the agent refused).
    Awaitable<StreamSocket> open_stream(std::uint64_t id, Deadline deadline);

    /// A connection to a TCP port of the guest's loopback address, as stream::relay takes it;
    /// nothing if it is refused there. Throws: Error (unavailable, deadline_exceeded).
    Awaitable<std::optional<StreamSocket>>
    open_tcp(std::uint16_t port, bool ipv6, Deadline deadline);

    /// A connection on which the agent passes on what containers ask a name server at that loopback
    /// address (network::NameRelay); nothing if it cannot listen there.
    /// Throws: Error (unavailable, deadline_exceeded).
    Awaitable<std::optional<StreamSocket>> open_names(asio::ip::address address, Deadline deadline);

    /// The guest's end of a connection to a socket of the host's (Event.SocketConnection), as
    /// stream::relay takes it; nothing if there is none of that number any more. Not `taken`: the
    /// guest closes it. Throws: Error (unavailable, deadline_exceeded).
    Awaitable<std::optional<StreamSocket>>
    open_socket(std::uint64_t connection, bool taken, Deadline deadline);

    /// A further connection for a stream that has lost its own. `received`: the bytes of it that
    /// have arrived here. Nothing if the agent knows no such stream any more, or if no connection
    /// can be had within `Limits::resume`.
    Awaitable<std::optional<stream::Connection>>
    resume_stream(std::uint64_t id, std::uint64_t received);

    /// Until the link is lost, or stopped; gives the reason.
    Awaitable<std::string> wait_lost();

    /// Closes the connection: calls that wait fail with unavailable. Idempotent; must be awaited
    /// before destruction.
    Awaitable<> stop();

  private:
    Awaitable<std::optional<StreamSocket>>
    open_if_accepted(wire::Preamble preamble, Deadline deadline);
    Awaitable<> keep();
    Awaitable<> follow_events(std::shared_ptr<Connection> connection);
    void hear(const v2::Event& event);
    Awaitable<std::shared_ptr<Connection>> redial();
    bool may_redial();
    Awaitable<> pause();
    Awaitable<std::shared_ptr<Connection>> connected(Deadline deadline);
    void lose(std::string reason) noexcept;
    static void check_repeat(const Error& error, Repeat repeat);

    asio::any_io_executor executor_;
    vm::VirtualMachine& machine_;
    Logger logger_;
    Limits limits_;
    std::function<void(const v2::Event&)> on_event_;
    std::shared_ptr<Connection> connection_;
    Event changed_; ///< connection_ is another, or the link is lost
    Event lost_;
    std::string lost_reason_;
    std::deque<std::chrono::steady_clock::time_point> redials_;
    std::map<std::uint64_t, std::weak_ptr<GuestProcess>> processes_; ///< that have not exited
    std::uint64_t last_process_ = 0;
    std::uint64_t last_stream_ = 0;
    std::uint64_t events_seen_ = 0;
    TaskGroup tasks_;
};

} // namespace cppvm::agent
