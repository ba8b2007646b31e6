#include "guest-agent/network/loopback.hpp"

#include "common/network/netlink.hpp"

#include <netlink/route/link.h>

#include <net/if.h>

namespace cppvm::guest {

namespace {

constexpr int loopback_index = 1; // in every network namespace (the kernel's LOOPBACK_IFINDEX)

} // namespace

void bring_up_loopback() {
    const network::Socket socket = network::open_socket();
    const auto up = network::own<network::Object<rtnl_link>>(::rtnl_link_alloc());
    ::rtnl_link_set_flags(up.get(), IFF_UP);
    network::change_link(*socket, loopback_index, *up, "bring up", "loopback interface");
}

} // namespace cppvm::guest
