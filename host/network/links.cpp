#include "host/network/links.hpp"

#include "common/base/error.hpp"

#include <netlink/route/link.h>
#include <netlink/route/link/ipvlan.h>

#include <algorithm>
#include <array>
#include <linux/if_arp.h>
#include <map>
#include <net/if.h>

namespace cppvm::network {

namespace {

// Kinds whose lower interface would have to give frames away that go to the machine instead.
constexpr std::array<std::string_view, 5> stacked_kinds{
    "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"
};

Link to_link(rtnl_link& from) {
    Link link;
    link.index = ::rtnl_link_get_ifindex(&from);
    link.name = to_text(::rtnl_link_get_name(&from));
    link.kind = to_text(::rtnl_link_get_type(&from));
    link.hardware = ::rtnl_link_get_arptype(&from);
    link.is_up = (::rtnl_link_get_flags(&from) & IFF_UP) != 0;
    if (link.kind == "ipvlan") {
        std::uint16_t mode = 0;
        link.is_layer_3 = ::rtnl_link_ipvlan_get_mode(&from, &mode) == 0 &&
                          mode != ::rtnl_link_ipvlan_str2mode("l2");
    }
    link.master = ::rtnl_link_get_master(&from);
    std::int32_t other_namespace = 0;
    if (::rtnl_link_get_link_netnsid(&from, &other_namespace) != 0) {
        link.lower = ::rtnl_link_get_link(&from);
    }
    link.mac = to_mac(::rtnl_link_get_addr(&from));
    return link;
}

[[noreturn]] void refuse(const Link& link, const std::string& reason) {
    throw Error(
        Code::unimplemented,
        "network interface " + link.name + (link.kind.empty() ? "" : " (" + link.kind + ")") +
            " cannot be given to a virtual machine: " + reason
    );
}

void check_servable(const Link& link, const std::vector<Link>& links) {
    if (link.is_layer_3) {
        refuse(link, "it passes no Ethernet frames; make it an ipvlan of mode l2");
    }
    if (link.hardware != ARPHRD_ETHER || !link.mac) {
        refuse(link, "it passes no Ethernet frames; set it down, or take it out of the namespace");
    }
    const auto lower = std::ranges::find(links, link.lower, &Link::index);
    if (link.lower != 0 && lower != links.end() &&
        std::ranges::find(stacked_kinds, link.kind) != stacked_kinds.end()) {
        refuse(
            link,
            "it sits on " + lower->name +
                " of the same namespace, whose frames all go to the machine"
        );
    }
}

/// A port of a bridge, a bond or the like gives its frames to that one.
bool is_port(const Link& link, const std::vector<Link>& links) {
    const auto master = std::ranges::find(links, link.master, &Link::index);
    if (link.master == 0 || master == links.end()) {
        return false;
    }
    if (master->kind == "vrf") {
        refuse(link, "it belongs to the VRF " + master->name);
    }
    return true;
}

/// A kernel with tunnels puts one of each kind, which does nothing, into every namespace.
bool is_idle_tunnel(const Link& link) {
    return link.hardware != ARPHRD_ETHER && !link.is_up;
}

} // namespace

std::vector<Link> list_links(nl_sock& socket) {
    std::vector<Link> links;
    for_each_link(socket, [&](rtnl_link& link) { links.push_back(to_link(link)); });
    std::ranges::sort(links, {}, &Link::index);
    return links;
}

std::vector<Link> choose_served(const std::vector<Link>& links, const std::set<int>& own) {
    std::vector<Link> served;
    std::map<MacAddress, std::string> names;
    for (const Link& link : links) {
        if (link.hardware == ARPHRD_LOOPBACK || own.contains(link.index) || is_idle_tunnel(link) ||
            is_port(link, links)) {
            continue;
        }
        check_servable(link, links);
        const auto [other, is_new] = names.emplace(*link.mac, link.name);
        if (!is_new) {
            throw Error(
                Code::invalid_argument,
                "network interfaces " + other->second + " and " + link.name +
                    " have the same MAC address, by which the machine tells them apart; change one"
            );
        }
        served.push_back(link);
    }
    return served;
}

} // namespace cppvm::network
