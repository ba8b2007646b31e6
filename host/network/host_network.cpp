#include "host/network/host_network.hpp"

#include "common/base/error.hpp"
#include "common/network/netlink.hpp"
#include "common/network/read_state.hpp"
#include "host/config/programs.hpp"

#include <algorithm>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

namespace cppvm::network {

namespace {

constexpr std::uint32_t user_mtu = 65520; // what passt carries in one frame
constexpr const char* user_interface = "eth0";

struct Family {
    int number;
    const char* address;
    std::uint8_t prefix;
    const char* gateway;
};
// The guest and passt are alone on this network, so the addresses cannot conflict with others.
constexpr std::array families{
    Family{AF_INET, "10.0.2.15", 24, "10.0.2.2"},
    Family{AF_INET6, "fd63:7600::15", 64, "fe80::2"},
};

bool has_default_route(const State& host, int family) {
    return std::ranges::any_of(host.routes, [family](const Route& route) {
        return route.family == family && !route.destination && route.type == RTN_UNICAST;
    });
}

bool leads_anywhere() {
    const State host = read_state(*open_socket());
    return std::ranges::any_of(families, [&host](const Family& family) {
        return has_default_route(host, family.number);
    });
}

} // namespace

HostNetwork choose_host_network(const config::Config& config) {
    const std::string& host = config.network.host;
    if (host == "none") {
        return HostNetwork::none;
    }
    if (host == "auto" && !leads_anywhere()) {
        return HostNetwork::none; // nothing that passt could pass on
    }
    std::string reason = "network.host in the configuration says \"refuse\"";
    if (host != "refuse") {
        try {
            config::find_passt(config);
            return HostNetwork::user;
        } catch (const Error& error) {
            reason = error.message();
        }
    }
    throw Error(
        Code::failed_precondition,
        "the container asks for the host's network, whose interfaces a virtual machine cannot have "
        "(" +
            reason +
            "): install passt and set network.host = \"user\", or set it to \"none\" for loopback "
            "alone, or give the container a network namespace"
    );
}

State user_network_state() {
    const State host = read_state(*open_socket());
    State state;
    Interface interface{user_interface, user_mac, user_mtu, IFF_UP | IFF_MULTICAST, 0, {}};
    for (const Family& family : families) {
        if (!has_default_route(host, family.number)) {
            continue;
        }
        InterfaceAddress address;
        address.prefix = {asio::ip::make_address(family.address), family.prefix};
        interface.addresses.push_back(address);
        Route route;
        route.family = static_cast<std::uint8_t>(family.number);
        route.table = RT_TABLE_MAIN;
        route.protocol = RTPROT_STATIC;
        route.type = RTN_UNICAST;
        // Onlink: the gateway is reachable without a route to its subnet.
        route.next_hops = {
            {user_interface, asio::ip::make_address(family.gateway), 0, RTNH_F_ONLINK}
        };
        state.routes.push_back(std::move(route));
    }
    state.interfaces.push_back(std::move(interface));
    return state;
}

} // namespace cppvm::network
