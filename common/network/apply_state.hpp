#pragma once

#include "common/network/netlink.hpp"

#include <functional>
#include <map>
#include <string>

namespace cppvm::network {

/// Makes the namespace of `socket` what `wanted` says, in which each interface exists already and
/// is known by its MAC: its name, MTU and flags, addresses, routes, neighbours and rules. What the
/// namespace has besides is taken away, so a second call with less is a change to less.
/// `unsupported` hears of what this kernel does not know, such as an address family.
/// Throws: Error naming the interface, address or route.
void apply_state(
    nl_sock& socket, const State& wanted, const std::function<void(const std::string&)>& unsupported
);

struct LinkState {
    int index = 0;
    unsigned flags = 0; ///< IFF_*
};
/// All interfaces that have a MAC address. Throws: Error.
std::map<MacAddress, LinkState> interfaces_by_mac(nl_sock& socket);

} // namespace cppvm::network
