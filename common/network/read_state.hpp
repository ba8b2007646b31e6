#pragma once

#include "common/network/netlink.hpp"

namespace cppvm::network {

/// What the namespace of `socket` has now. Left out: loopback, local, multicast and cloned routes,
/// what IPv6 routers have announced, rules that every namespace has. Interfaces come by index, the
/// rest in the kernel's order. Throws: Error.
State read_state(nl_sock& socket);

} // namespace cppvm::network
