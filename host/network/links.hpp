#pragma once

#include "common/network/netlink.hpp"

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace cppvm::network {

/// A network interface of a namespace, as far as it decides whether a machine can have it. Plain
/// data.
struct Link {
    int index = 0;
    std::string name;
    std::string kind;      ///< "veth", "macvlan", …; empty: a device of the hardware
    unsigned hardware = 0; ///< ARPHRD_*
    bool is_up = false;
    bool is_layer_3 = false; ///< an ipvlan that passes no Ethernet frames
    int master = 0;          ///< index of the bridge or the like that it is a port of; 0: none
    int lower = 0;           ///< index of the one that it sits on, in the same namespace; 0: none
    std::optional<MacAddress> mac;
};

/// All of the namespace, by index. Throws: Error.
std::vector<Link> list_links(nl_sock& socket);

/// Those that the machine gets. `own`: indices of the taps that are ours. Pure.
/// Throws: Error (unimplemented) naming an interface that no machine can have and why;
/// (invalid_argument) naming two of one MAC.
std::vector<Link> choose_served(const std::vector<Link>& links, const std::set<int>& own);

} // namespace cppvm::network
