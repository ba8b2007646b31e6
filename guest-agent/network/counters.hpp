#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cppvm::guest {

/// What has gone through an interface (rtnetlink's IFLA_STATS64).
struct InterfaceCounters {
    std::string name;
    std::uint64_t rx_bytes = 0;
    std::uint64_t rx_packets = 0;
    std::uint64_t rx_errors = 0;
    std::uint64_t rx_dropped = 0;
    std::uint64_t tx_bytes = 0;
    std::uint64_t tx_packets = 0;
    std::uint64_t tx_errors = 0;
    std::uint64_t tx_dropped = 0;
};

/// Of the interfaces of the agent's network namespace, without loopback. Throws: Error.
std::vector<InterfaceCounters> read_counters();

} // namespace cppvm::guest
