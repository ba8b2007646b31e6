#pragma once

#include "host/agent/agent_connection.hpp"

#include <chrono>
#include <cstdint>

namespace cppvm::sandbox {

/// Keeps the guest's wall clock at the host's. A guest does not notice that it stood still (a
/// suspend of the VM or of the host), but it asks for the time every few seconds of its own.
/// Borrows: the connection. Thread: the loop's only.
class ClockKeeper {
  public:
    explicit ClockKeeper(agent::AgentConnection& agent) : agent_(agent) {}

    /// Once, before anything runs in the guest; gives how wrong its clock is afterwards (positive:
    /// ahead), to within half of the round trip. Throws: Error.
    Awaitable<std::chrono::nanoseconds> set(Deadline deadline);

    /// From then on, until a call fails: the connection has ended, then. Cancels: nothing is left.
    Awaitable<> keep();

  private:
    struct Comparison {
        std::int64_t ahead_ns = 0; ///< the guest's clock
        std::int64_t round_trip_ns = 0;
    };
    Awaitable<Comparison> compare(Deadline deadline);
    Awaitable<> correct();

    agent::AgentConnection& agent_;
    std::int64_t adjust_ns_ = 0;
};

} // namespace cppvm::sandbox
