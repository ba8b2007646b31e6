#pragma once

#include "common/async/asio.hpp"

#include <boost/asio/ip/address.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// What a network namespace has besides its loopback interface: read on the host, made again in the
/// guest. Plain data; numbers are the kernel's (rtnetlink(7)).
namespace cppvm::network {

using MacAddress = std::array<std::uint8_t, 6>;

/// "02:00:00:00:00:01".
std::string to_text(const MacAddress& mac);

struct Prefix {
    asio::ip::address address;
    std::uint8_t length = 0;

    friend bool operator==(const Prefix&, const Prefix&) = default;
};

/// "192.0.2.1/24".
std::string to_text(const Prefix& prefix);

struct InterfaceAddress {
    Prefix prefix;
    std::optional<asio::ip::address> peer; ///< of a point-to-point link; the prefix is the peer's
    std::optional<asio::ip::address> broadcast;
    std::uint8_t scope = 0;  ///< RT_SCOPE_*
    std::uint32_t flags = 0; ///< IFA_F_*, those that are asked for and not those that happened

    friend bool operator==(const InterfaceAddress&, const InterfaceAddress&) = default;
};

struct Interface {
    std::string name;
    MacAddress mac{};
    std::uint32_t mtu = 0;
    std::uint32_t flags = 0; ///< IFF_UP, IFF_NOARP, IFF_MULTICAST, IFF_ALLMULTI, IFF_PROMISC
    /// How IPv6 addresses come about that nobody assigns (IFLA_INET6_ADDR_GEN_MODE).
    std::uint8_t address_generation = 0;
    std::vector<InterfaceAddress> addresses;

    friend bool operator==(const Interface&, const Interface&) = default;
};

struct NextHop {
    std::string interface;
    std::optional<asio::ip::address> gateway;
    std::uint8_t weight = 0; ///< less one, as the kernel counts
    std::uint32_t flags = 0; ///< RTNH_F_ONLINK

    friend bool operator==(const NextHop&, const NextHop&) = default;
};

struct Route {
    std::uint8_t family = 0;           ///< AF_INET or AF_INET6
    std::optional<Prefix> destination; ///< nothing: all
    std::optional<asio::ip::address> source;
    std::uint8_t tos = 0;
    std::uint32_t table = 0;
    std::uint8_t protocol = 0; ///< RTPROT_*
    std::uint8_t scope = 0;    ///< RT_SCOPE_*
    std::uint8_t type = 0;     ///< RTN_*
    std::uint32_t priority = 0;
    std::map<std::uint32_t, std::uint32_t> metrics; ///< RTAX_*
    std::vector<NextHop> next_hops;                 ///< none for blackhole and its like

    friend bool operator==(const Route&, const Route&) = default;
};

/// One that somebody has set for good (NUD_PERMANENT), or a proxy's.
struct Neighbour {
    std::string interface;
    asio::ip::address address;
    std::optional<MacAddress> mac; ///< nothing: a proxy's
    std::uint8_t flags = 0;        ///< NTF_PROXY, NTF_ROUTER

    friend bool operator==(const Neighbour&, const Neighbour&) = default;
};

struct Rule {
    std::uint8_t family = 0;
    std::uint32_t priority = 0;
    std::uint32_t table = 0;
    std::uint8_t action = 0; ///< FR_ACT_*
    std::uint32_t go_to = 0;
    std::optional<Prefix> source;
    std::optional<Prefix> destination;
    std::string in_interface;
    std::string out_interface;
    std::uint32_t mark = 0;
    std::uint32_t mask = 0;
    std::uint8_t tos = 0;

    friend bool operator==(const Rule&, const Rule&) = default;
};

struct State {
    std::vector<Interface> interfaces;
    std::vector<Route> routes;
    std::vector<Neighbour> neighbours;
    std::vector<Rule> rules; ///< but those that each namespace has from the start

    friend bool operator==(const State&, const State&) = default;
};

} // namespace cppvm::network
