#include "common/network/read_state.hpp"

#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet6.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <netlink/route/rule.h>

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <utility>

namespace cppvm::network {

namespace {

constexpr std::uint32_t kept_interface_flags =
    IFF_UP | IFF_NOARP | IFF_MULTICAST | IFF_ALLMULTI | IFF_PROMISC;
// Not: whether duplicate address detection is under way or has failed, whether it is permanent.
constexpr std::uint32_t kept_address_flags =
    IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN;

/// Autoconfigured from a router advertisement, and so temporary: the guest hears that router
/// itself.
bool is_from_router(rtnl_addr& address) {
    return ::rtnl_addr_get_family(&address) == AF_INET6 &&
           (::rtnl_addr_get_flags(&address) & IFA_F_PERMANENT) == 0;
}

class Reader {
  public:
    explicit Reader(nl_sock& socket) : socket_(socket) {}

    State run() {
        read_interfaces();
        read_addresses();
        for (const int family : {AF_INET, AF_INET6}) {
            read_routes(family);
            read_rules(family);
        }
        read_neighbours();
        return std::move(state_);
    }

  private:
    /// Null for loopback.
    Interface* find(int index) {
        const auto found = by_index_.find(index);
        return found == by_index_.end() ? nullptr : &state_.interfaces[found->second];
    }

    void read_interfaces() {
        for_each_link(socket_, [this](rtnl_link& link) {
            if ((::rtnl_link_get_flags(&link) & IFF_LOOPBACK) != 0) {
                return;
            }
            Interface made;
            made.name = ::rtnl_link_get_name(&link);
            made.mac = to_mac(::rtnl_link_get_addr(&link)).value_or(MacAddress{});
            made.mtu = ::rtnl_link_get_mtu(&link);
            made.flags = ::rtnl_link_get_flags(&link) & kept_interface_flags;
            static_cast<void>(::rtnl_link_inet6_get_addr_gen_mode(&link, &made.address_generation));
            by_index_.emplace(::rtnl_link_get_ifindex(&link), state_.interfaces.size());
            state_.interfaces.push_back(std::move(made));
        });
    }

    void read_addresses() {
        for_each_listed<rtnl_addr>(
            "network addresses",
            [this](nl_cache** to) { return ::rtnl_addr_alloc_cache(&socket_, to); },
            [this](rtnl_addr& address) {
                Interface* const interface = find(::rtnl_addr_get_ifindex(&address));
                const auto local = to_address(::rtnl_addr_get_local(&address));
                if (interface == nullptr || !local || is_from_router(address)) {
                    return;
                }
                InterfaceAddress made;
                made.prefix = {
                    *local, static_cast<std::uint8_t>(::rtnl_addr_get_prefixlen(&address))
                };
                made.peer = to_address(::rtnl_addr_get_peer(&address));
                made.broadcast = to_address(::rtnl_addr_get_broadcast(&address));
                made.scope = static_cast<std::uint8_t>(::rtnl_addr_get_scope(&address));
                made.flags = ::rtnl_addr_get_flags(&address) & kept_address_flags;
                interface->addresses.push_back(std::move(made));
            }
        );
    }

    void read_routes(int family) {
        for_each_listed<rtnl_route>(
            "routes",
            [&](nl_cache** to) { return ::rtnl_route_alloc_cache(&socket_, family, 0, to); },
            [this](rtnl_route& route) { add_route(route); }
        );
    }

    void add_route(rtnl_route& route) {
        const std::uint8_t type = ::rtnl_route_get_type(&route);
        if (::rtnl_route_get_table(&route) == RT_TABLE_LOCAL || type == RTN_LOCAL ||
            type == RTN_BROADCAST || type == RTN_MULTICAST || type == RTN_ANYCAST ||
            ::rtnl_route_get_protocol(&route) == RTPROT_RA ||
            (::rtnl_route_get_flags(&route) & RTM_F_CLONED) != 0) {
            return;
        }
        Route made;
        made.family = ::rtnl_route_get_family(&route);
        made.destination = to_prefix(::rtnl_route_get_dst(&route));
        if (made.destination && made.destination->length == 0) {
            made.destination.reset();
        }
        made.source = to_address(::rtnl_route_get_pref_src(&route));
        made.tos = ::rtnl_route_get_tos(&route);
        made.table = ::rtnl_route_get_table(&route);
        made.protocol = ::rtnl_route_get_protocol(&route);
        made.scope = ::rtnl_route_get_scope(&route);
        made.type = type;
        made.priority = ::rtnl_route_get_priority(&route);
        for (int metric = 1; metric <= RTAX_MAX; ++metric) {
            std::uint32_t value = 0;
            if (::rtnl_route_get_metric(&route, metric, &value) == 0) {
                made.metrics.emplace(metric, value);
            }
        }
        for (int i = 0; i < ::rtnl_route_get_nnexthops(&route); ++i) {
            rtnl_nexthop* const hop = ::rtnl_route_nexthop_n(&route, i);
            const Interface* const interface = find(::rtnl_route_nh_get_ifindex(hop));
            if (interface == nullptr) {
                return; // by loopback: every namespace has those
            }
            made.next_hops.push_back(
                {interface->name,
                 to_address(::rtnl_route_nh_get_gateway(hop)),
                 ::rtnl_route_nh_get_weight(hop),
                 ::rtnl_route_nh_get_flags(hop) & RTNH_F_ONLINK}
            );
        }
        state_.routes.push_back(std::move(made));
    }

    void read_neighbours() {
        for_each_listed<rtnl_neigh>(
            "neighbours",
            [this](nl_cache** to) { return ::rtnl_neigh_alloc_cache(&socket_, to); },
            [this](rtnl_neigh& neighbour) {
                const Interface* const interface = find(::rtnl_neigh_get_ifindex(&neighbour));
                const auto address = to_address(::rtnl_neigh_get_dst(&neighbour));
                const auto flags = ::rtnl_neigh_get_flags(&neighbour) & (NTF_PROXY | NTF_ROUTER);
                const bool permanent = ::rtnl_neigh_get_state(&neighbour) == NUD_PERMANENT;
                if (interface == nullptr || !address || (!permanent && (flags & NTF_PROXY) == 0)) {
                    return;
                }
                state_.neighbours.push_back(
                    {interface->name,
                     *address,
                     to_mac(::rtnl_neigh_get_lladdr(&neighbour)),
                     static_cast<std::uint8_t>(flags)}
                );
            }
        );
    }

    void read_rules(int family) {
        for_each_listed<rtnl_rule>(
            "routing rules",
            [&](nl_cache** to) { return ::rtnl_rule_alloc_cache(&socket_, family, to); },
            [&](rtnl_rule& rule) {
                Rule made;
                made.family = static_cast<std::uint8_t>(family);
                made.priority = ::rtnl_rule_get_prio(&rule);
                made.table = ::rtnl_rule_get_table(&rule);
                made.action = ::rtnl_rule_get_action(&rule);
                made.go_to = ::rtnl_rule_get_goto(&rule);
                made.source = to_prefix(::rtnl_rule_get_src(&rule));
                made.destination = to_prefix(::rtnl_rule_get_dst(&rule));
                made.in_interface = to_text(::rtnl_rule_get_iif(&rule));
                made.out_interface = to_text(::rtnl_rule_get_oif(&rule));
                made.mark = ::rtnl_rule_get_mark(&rule);
                made.mask = ::rtnl_rule_get_mask(&rule);
                made.tos = ::rtnl_rule_get_dsfield(&rule);
                if (!is_default(made)) {
                    state_.rules.push_back(std::move(made));
                }
            }
        );
    }

    // ip-rule(8): local at 0, main at 32766, default at 32767 (IPv4 only).
    static bool is_default(const Rule& rule) {
        Rule plain;
        plain.family = rule.family;
        plain.action = FR_ACT_TO_TBL;
        for (const auto& [priority, table] :
             {std::pair{0U, RT_TABLE_LOCAL}, {32766U, RT_TABLE_MAIN}, {32767U, RT_TABLE_DEFAULT}}) {
            plain.priority = priority;
            plain.table = table;
            if (rule == plain) {
                return true;
            }
        }
        return false;
    }

    nl_sock& socket_;
    State state_;
    std::map<int, std::size_t> by_index_;
};

} // namespace

State read_state(nl_sock& socket) {
    return Reader(socket).run();
}

} // namespace cppvm::network
