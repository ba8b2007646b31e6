#pragma once

#include "common/async/event.hpp"
#include "common/ttrpc/replies.hpp"
#include "guest-agent/service/event_log.hpp"
#include "guest-agent/sockets/host_sockets.hpp"
#include "proto/cppvm/agent.pb.h"

#include <cstdint>

namespace cppvm::guest {

/// One call of Events: tells the host what is in the log, the ports that somebody listens on, the
/// connections that wait for it, and every few seconds that the time is wanted.
/// Borrows: log, ports and sockets. Thread: the loop's only.
class EventSubscription {
  public:
    /// `seen`: the last event that the host has seen.
    EventSubscription(
        const asio::any_io_executor& executor,
        const EventLog& log,
        const agent::v2::Event::Listening& listening,
        const HostSockets& sockets,
        std::uint64_t seen
    );

    /// There may be something new in the log, or another connection.
    void wake() noexcept { news_.set(); }
    /// The ports that somebody listens on are others.
    void tell_listening() noexcept;
    /// A later call has taken its place: `run` returns.
    void supersede() noexcept;

    /// Throws: when the host does not listen any more. Cancels: nothing is lost.
    Awaitable<> run(ttrpc::ReplyWriter<agent::v2::Event>& events);

  private:
    Awaitable<> send(ttrpc::ReplyWriter<agent::v2::Event>& events);
    Awaitable<> count_time();

    const EventLog& log_;
    const agent::v2::Event::Listening& listening_;
    const HostSockets& sockets_;
    std::uint64_t told_connection_ = 0; ///< the last one
    bool listening_changed_ = true;
    std::uint64_t seen_;
    bool superseded_ = false;
    bool clock_wanted_ = false;
    Event news_;
};

} // namespace cppvm::guest
