#pragma once

#include "common/async/event.hpp"
#include "host/agent/link.hpp"

#include <chrono>
#include <cstdint>

namespace cppvm::sandbox {

/// Keeps the guest's wall clock at the host's. A guest does not notice that it stood still (a
/// suspend of the VM or of the host), but it asks for the time every few seconds of its own.
/// Borrows: the link. Thread: the loop's only.
class ClockKeeper {
  public:
    ClockKeeper(const asio::any_io_executor& executor, agent::Link& agent)
        : agent_(agent), wanted_(executor) {}

    /// Once, before anything runs in the guest; gives how wrong its clock is afterwards (positive:
    /// ahead), to within half of the round trip. Throws: Error.
    Awaitable<std::chrono::nanoseconds> set(Deadline deadline);

    /// The guest asks for the time.
    void want() noexcept { wanted_.set(); }

    /// Answers that, until it is cancelled. Cancels: nothing is left.
    Awaitable<> keep();

  private:
    struct Comparison {
        std::int64_t ahead_ns = 0; ///< the guest's clock
        std::int64_t round_trip_ns = 0;
    };
    using Ask = Awaitable<agent::v2::SetClockResponse> (ClockKeeper::*)(
        agent::v2::SetClockRequest, Deadline
    );

    Awaitable<Comparison> compare(Ask ask, Deadline deadline);
    Awaitable<agent::v2::SetClockResponse>
    configure(agent::v2::SetClockRequest request, Deadline deadline);
    Awaitable<agent::v2::SetClockResponse>
    set_clock(agent::v2::SetClockRequest request, Deadline deadline);
    Awaitable<> correct();

    agent::Link& agent_;
    Event wanted_;
    std::int64_t adjust_ns_ = 0;
};

} // namespace cppvm::sandbox
