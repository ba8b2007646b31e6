#include "common/network/objects.hpp"

#include "common/base/error.hpp"

#include <netlink/route/nexthop.h>

#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <sys/socket.h>

namespace cppvm::network {

namespace {

int index_of(const std::string& interface, const Indices& indices) {
    const auto found = indices.find(interface);
    if (found == indices.end()) {
        throw Error(Code::invalid_argument, "configure network: no interface " + interface);
    }
    return found->second;
}

Prefix everything(std::uint8_t family) {
    if (family == AF_INET) {
        return {asio::ip::address_v4(), 0};
    }
    return {asio::ip::address_v6(), 0};
}

void add_next_hop(rtnl_route& route, const NextHop& hop, int index) {
    rtnl_nexthop* const made = ::rtnl_route_nh_alloc();
    if (made == nullptr) {
        throw_out_of_memory();
    }
    ::rtnl_route_nh_set_ifindex(made, index);
    ::rtnl_route_nh_set_weight(made, hop.weight);
    ::rtnl_route_nh_set_flags(made, hop.flags);
    if (hop.gateway) {
        ::rtnl_route_nh_set_gateway(made, to_netlink(*hop.gateway).get());
    }
    ::rtnl_route_add_nexthop(&route, made); // which owns it from now on
}

} // namespace

Object<rtnl_addr> to_object(const InterfaceAddress& address, int index) {
    auto made = own<Object<rtnl_addr>>(::rtnl_addr_alloc());
    ::rtnl_addr_set_ifindex(made.get(), index);
    ::rtnl_addr_set_local(made.get(), to_netlink(address.prefix).get());
    if (address.peer) {
        ::rtnl_addr_set_peer(made.get(), to_netlink(*address.peer).get());
    }
    ::rtnl_addr_set_prefixlen(made.get(), address.prefix.length);
    if (address.broadcast) {
        ::rtnl_addr_set_broadcast(made.get(), to_netlink(*address.broadcast).get());
    }
    ::rtnl_addr_set_scope(made.get(), address.scope);
    ::rtnl_addr_set_flags(made.get(), address.flags | IFA_F_NODAD);
    return made;
}

Object<rtnl_route> to_object(const Route& route, const Indices& indices) {
    auto made = own<Object<rtnl_route>>(::rtnl_route_alloc());
    ::rtnl_route_set_family(made.get(), route.family);
    const Prefix destination = route.destination.value_or(everything(route.family));
    ::rtnl_route_set_dst(made.get(), to_netlink(destination).get());
    if (route.source) {
        ::rtnl_route_set_pref_src(made.get(), to_netlink(*route.source).get());
    }
    ::rtnl_route_set_tos(made.get(), route.tos);
    ::rtnl_route_set_table(made.get(), route.table);
    ::rtnl_route_set_protocol(made.get(), route.protocol);
    ::rtnl_route_set_scope(made.get(), route.scope);
    ::rtnl_route_set_type(made.get(), route.type);
    ::rtnl_route_set_priority(made.get(), route.priority);
    for (const auto& [metric, value] : route.metrics) {
        ::rtnl_route_set_metric(made.get(), static_cast<int>(metric), value);
    }
    for (const NextHop& hop : route.next_hops) {
        add_next_hop(*made, hop, index_of(hop.interface, indices));
    }
    return made;
}

Object<rtnl_neigh> to_object(const Neighbour& neighbour, const Indices& indices) {
    auto made = own<Object<rtnl_neigh>>(::rtnl_neigh_alloc());
    ::rtnl_neigh_set_ifindex(made.get(), index_of(neighbour.interface, indices));
    ::rtnl_neigh_set_dst(made.get(), to_netlink(neighbour.address).get());
    if (neighbour.mac) {
        ::rtnl_neigh_set_lladdr(made.get(), to_netlink(*neighbour.mac).get());
        ::rtnl_neigh_set_state(made.get(), NUD_PERMANENT);
    }
    ::rtnl_neigh_set_flags(made.get(), neighbour.flags);
    return made;
}

Object<rtnl_rule> to_object(const Rule& rule) {
    auto made = own<Object<rtnl_rule>>(::rtnl_rule_alloc());
    ::rtnl_rule_set_family(made.get(), rule.family);
    ::rtnl_rule_set_prio(made.get(), rule.priority);
    ::rtnl_rule_set_table(made.get(), rule.table);
    ::rtnl_rule_set_action(made.get(), rule.action);
    if (rule.go_to != 0) {
        ::rtnl_rule_set_goto(made.get(), rule.go_to);
    }
    if (rule.source) {
        ::rtnl_rule_set_src(made.get(), to_netlink(*rule.source).get());
    }
    if (rule.destination) {
        ::rtnl_rule_set_dst(made.get(), to_netlink(*rule.destination).get());
    }
    if (!rule.in_interface.empty()) {
        ::rtnl_rule_set_iif(made.get(), rule.in_interface.c_str());
    }
    if (!rule.out_interface.empty()) {
        ::rtnl_rule_set_oif(made.get(), rule.out_interface.c_str());
    }
    if (rule.mark != 0 || rule.mask != 0) {
        ::rtnl_rule_set_mark(made.get(), rule.mark);
        ::rtnl_rule_set_mask(made.get(), rule.mask);
    }
    if (rule.tos != 0) {
        ::rtnl_rule_set_dsfield(made.get(), rule.tos);
    }
    return made;
}

std::string name_of(const InterfaceAddress& address, const std::string& interface) {
    return "address " + to_text(address.prefix) + " of " + interface;
}

std::string name_of(const Route& route) {
    return "route " + (route.destination ? to_text(*route.destination) : std::string("default"));
}

std::string name_of(const Neighbour& neighbour) {
    return "neighbour " + neighbour.address.to_string() + " of " + neighbour.interface;
}

std::string name_of(const Rule& rule) {
    return "routing rule " + std::to_string(rule.priority);
}

} // namespace cppvm::network
