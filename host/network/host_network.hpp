#pragma once

#include "common/network/state.hpp"
#include "host/config/config.hpp"

namespace cppvm::network {

/// What a container gets that asks for the host's network, whose interfaces no machine can have.
enum class HostNetwork {
    user, ///< connections made by passt
    none, ///< loopback alone
};

/// By `[network] host`, whether passt is installed, and for "auto" whether this thread's network
/// namespace has a default route.
/// Throws: Error (failed_precondition) that names the ways out, where it is refused; Error of
/// netlink.
HostNetwork choose_host_network(const config::Config& config);

/// The guest's side of passt: one interface, an address of each family that leads anywhere from
/// this thread's network namespace, and default routes. Throws: Error.
State user_network_state();

/// Of that interface. Each machine is alone with its passt, so all may have the same.
inline constexpr MacAddress user_mac{0x02, 0x63, 0x76, 0x00, 0x00, 0x01};

} // namespace cppvm::network
