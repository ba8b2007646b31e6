#include "common/network/apply_state.hpp"

#include "common/base/error.hpp"
#include "common/network/objects.hpp"
#include "common/network/read_state.hpp"
#include "common/os/file.hpp"

#include <netlink/errno.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet6.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <net/if.h>
#include <sys/socket.h>
#include <vector>

namespace cppvm::network {

namespace {

template <class T>
bool contains(const std::vector<T>& list, const T& value) {
    return std::ranges::find(list, value) != list.end();
}

bool has_gateway(const Route& route) {
    return std::ranges::any_of(route.next_hops, [](const NextHop& hop) {
        return hop.gateway.has_value();
    });
}

// Those through a gateway need the way to that gateway first.
std::vector<Route> in_order(const std::vector<Route>& routes) {
    std::vector<Route> ordered;
    for (const bool with_gateway : {false, true}) {
        std::ranges::copy_if(routes, std::back_inserter(ordered), [&](const Route& route) {
            return has_gateway(route) == with_gateway;
        });
    }
    return ordered;
}

class Applier {
  public:
    Applier(
        nl_sock& socket,
        const State& wanted,
        const std::function<void(const std::string&)>& unsupported
    )
        : socket_(socket), wanted_(wanted), unsupported_(unsupported) {}

    void run() {
        name_interfaces();
        for (const Interface& interface : wanted_.interfaces) {
            set_up(interface);
        }
        // After all interfaces are up, which brings routes of the kernel's own.
        const State now = read_state(socket_);
        remove_rest(now);
        add_missing(in_order(wanted_.routes), now.routes);
        add_missing(wanted_.neighbours, now.neighbours);
        add_missing(wanted_.rules, now.rules);
    }

  private:
    // First out of each other's way: the kernel renames none that is up, nor to a name in use.
    void name_interfaces() {
        const auto by_mac = interfaces_by_mac(socket_);
        std::map<int, std::string> names;
        for_each_link(socket_, [&](rtnl_link& link) {
            names.emplace(::rtnl_link_get_ifindex(&link), ::rtnl_link_get_name(&link));
        });
        std::vector<const Interface*> renamed;
        for (const Interface& interface : wanted_.interfaces) {
            const auto found = by_mac.find(interface.mac);
            if (found == by_mac.end()) {
                throw Error(
                    Code::failed_precondition,
                    "configure network interface " + interface.name +
                        ": the machine has none with its MAC address"
                );
            }
            indices_.emplace(interface.name, found->second.index);
            if (names.at(found->second.index) != interface.name) {
                rename(interface, "renamed" + std::to_string(found->second.index));
                renamed.push_back(&interface);
            }
        }
        for (const Interface* interface : renamed) {
            rename(*interface, interface->name);
        }
    }

    void rename(const Interface& interface, const std::string& name) {
        const auto down = own<Object<rtnl_link>>(::rtnl_link_alloc());
        ::rtnl_link_unset_flags(down.get(), IFF_UP);
        change(interface, *down);
        const auto named = own<Object<rtnl_link>>(::rtnl_link_alloc());
        ::rtnl_link_set_name(named.get(), name.c_str());
        change(interface, *named);
    }

    // Before the interface is up. A kernel without IPv6 refuses it, and then its addresses.
    void prepare_ipv6(const Interface& interface) {
        // Duplicate addresses were looked for where they come from.
        const std::string settings = "/proc/sys/net/ipv6/conf/" + interface.name + "/accept_dad";
        try {
            write_control_file(settings, "0");
            const auto prepared = own<Object<rtnl_link>>(::rtnl_link_alloc());
            static_cast<void>(
                ::rtnl_link_inet6_set_addr_gen_mode(prepared.get(), interface.address_generation)
            );
            change(interface, *prepared);
        } catch (const Error& error) {
            const int cause = error.cause().value();
            if (cause != ENOENT && cause != EAFNOSUPPORT) {
                throw;
            }
        }
    }

    void set_up(const Interface& interface) {
        prepare_ipv6(interface);
        const auto settled = own<Object<rtnl_link>>(::rtnl_link_alloc());
        ::rtnl_link_set_mtu(settled.get(), interface.mtu);
        if ((interface.flags & IFF_UP) == 0) {
            ::rtnl_link_unset_flags(settled.get(), IFF_UP);
        }
        ::rtnl_link_set_flags(settled.get(), interface.flags);
        change(interface, *settled);
        for (const InterfaceAddress& address : interface.addresses) {
            report(
                ::rtnl_addr_add(
                    &socket_,
                    to_object(address, indices_.at(interface.name)).get(),
                    NLM_F_CREATE | NLM_F_REPLACE
                ),
                name_of(address, interface.name)
            );
        }
    }

    void change(const Interface& interface, rtnl_link& to) {
        change_link(
            socket_, indices_.at(interface.name), to, "configure network interface", interface.name
        );
    }

    template <class T>
    void add_missing(const std::vector<T>& wanted, const std::vector<T>& now) {
        for (const T& one : wanted) {
            if (!contains(now, one)) {
                const int result = add(one);
                if (result != -NLE_EXIST) {
                    report(result, name_of(one));
                }
            }
        }
    }

    int add(const Route& route) {
        return ::rtnl_route_add(
            &socket_, to_object(route, indices_).get(), NLM_F_CREATE | NLM_F_APPEND
        );
    }
    int add(const Neighbour& neighbour) {
        return ::rtnl_neigh_add(
            &socket_, to_object(neighbour, indices_).get(), NLM_F_CREATE | NLM_F_REPLACE
        );
    }
    int add(const Rule& rule) {
        return ::rtnl_rule_add(&socket_, to_object(rule).get(), NLM_F_CREATE | NLM_F_EXCL);
    }

    // Addresses first: routes go with theirs. What is gone by then is no failure.
    void remove_rest(const State& now) {
        for (const Interface& interface : now.interfaces) {
            const auto wanted =
                std::ranges::find(wanted_.interfaces, interface.name, &Interface::name);
            if (wanted != wanted_.interfaces.end()) {
                remove_addresses(interface, *wanted);
            }
        }
        for (const Route& route : now.routes) {
            if (!contains(wanted_.routes, route) && is_ours(route)) {
                ::rtnl_route_delete(&socket_, to_object(route, indices_).get(), 0);
            }
        }
        for (const Neighbour& neighbour : now.neighbours) {
            if (!contains(wanted_.neighbours, neighbour) &&
                indices_.contains(neighbour.interface)) {
                ::rtnl_neigh_delete(&socket_, to_object(neighbour, indices_).get(), 0);
            }
        }
        for (const Rule& rule : now.rules) {
            if (!contains(wanted_.rules, rule)) {
                ::rtnl_rule_delete(&socket_, to_object(rule).get(), 0);
            }
        }
    }

    void remove_addresses(const Interface& now, const Interface& wanted) {
        for (const InterfaceAddress& address : now.addresses) {
            const bool keep = std::ranges::any_of(wanted.addresses, [&](const auto& other) {
                return other.prefix == address.prefix && other.peer == address.peer;
            });
            if (!keep) {
                ::rtnl_addr_delete(&socket_, to_object(address, indices_.at(now.name)).get(), 0);
            }
        }
    }

    bool is_ours(const Route& route) const {
        return std::ranges::all_of(route.next_hops, [this](const NextHop& hop) {
            return indices_.contains(hop.interface);
        });
    }

    void report(int result, const std::string& object) {
        if (result == -NLE_AF_NOSUPPORT || result == -NLE_OPNOTSUPP) {
            unsupported_(object);
            return;
        }
        check(result, "add", object);
    }

    nl_sock& socket_;
    const State& wanted_;
    const std::function<void(const std::string&)>& unsupported_;
    Indices indices_;
};

} // namespace

void apply_state(
    nl_sock& socket, const State& wanted, const std::function<void(const std::string&)>& unsupported
) {
    Applier(socket, wanted, unsupported).run();
}

std::map<MacAddress, LinkState> interfaces_by_mac(nl_sock& socket) {
    std::map<MacAddress, LinkState> found;
    for_each_link(socket, [&](rtnl_link& link) {
        const auto mac = to_mac(::rtnl_link_get_addr(&link));
        const unsigned flags = ::rtnl_link_get_flags(&link);
        if (mac && (flags & IFF_LOOPBACK) == 0) {
            found.emplace(*mac, LinkState{::rtnl_link_get_ifindex(&link), flags});
        }
    });
    return found;
}

} // namespace cppvm::network
