#include "guest-agent/network/counters.hpp"

#include "common/network/netlink.hpp"

#include <netlink/route/link.h>

#include <net/if.h>

namespace cppvm::guest {

std::vector<InterfaceCounters> read_counters() {
    std::vector<InterfaceCounters> counters;
    const network::Socket socket = network::open_socket();
    network::for_each_link(*socket, [&](rtnl_link& link) {
        if ((::rtnl_link_get_flags(&link) & IFF_LOOPBACK) != 0) {
            return;
        }
        counters.push_back({
            .name = network::to_text(::rtnl_link_get_name(&link)),
            .rx_bytes = ::rtnl_link_get_stat(&link, RTNL_LINK_RX_BYTES),
            .rx_packets = ::rtnl_link_get_stat(&link, RTNL_LINK_RX_PACKETS),
            .rx_errors = ::rtnl_link_get_stat(&link, RTNL_LINK_RX_ERRORS),
            .rx_dropped = ::rtnl_link_get_stat(&link, RTNL_LINK_RX_DROPPED),
            .tx_bytes = ::rtnl_link_get_stat(&link, RTNL_LINK_TX_BYTES),
            .tx_packets = ::rtnl_link_get_stat(&link, RTNL_LINK_TX_PACKETS),
            .tx_errors = ::rtnl_link_get_stat(&link, RTNL_LINK_TX_ERRORS),
            .tx_dropped = ::rtnl_link_get_stat(&link, RTNL_LINK_TX_DROPPED),
        });
    });
    return counters;
}

} // namespace cppvm::guest
