#include "common/network/message.hpp"

#include "common/base/error.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace cppvm::network {

namespace {

using agent::v2::Network;

[[noreturn]] void refuse(const std::string& what) {
    throw Error(Code::invalid_argument, "configure network: " + what);
}

template <class T>
T narrow(std::uint32_t number) {
    if (number > std::numeric_limits<T>::max()) {
        refuse("a number is out of range: " + std::to_string(number));
    }
    return static_cast<T>(number);
}

std::string to_bytes(const asio::ip::address& address) {
    const auto text = [](const auto& bytes) { return std::string(bytes.begin(), bytes.end()); };
    return address.is_v4() ? text(address.to_v4().to_bytes()) : text(address.to_v6().to_bytes());
}

std::string to_bytes(const std::optional<asio::ip::address>& address) {
    return address ? to_bytes(*address) : std::string();
}

std::string to_bytes(const MacAddress& mac) {
    return {mac.begin(), mac.end()};
}

template <class Bytes>
Bytes copied(const std::string& text) {
    Bytes bytes{};
    std::ranges::copy(text, bytes.begin());
    return bytes;
}

asio::ip::address read_address(const std::string& bytes) {
    using V4 = asio::ip::address_v4;
    using V6 = asio::ip::address_v6;
    if (bytes.size() == sizeof(V4::bytes_type)) {
        return V4(copied<V4::bytes_type>(bytes));
    }
    if (bytes.size() == sizeof(V6::bytes_type)) {
        return V6(copied<V6::bytes_type>(bytes));
    }
    refuse("an address has " + std::to_string(bytes.size()) + " bytes");
}

std::optional<asio::ip::address> read_optional_address(const std::string& bytes) {
    return bytes.empty() ? std::nullopt : std::optional(read_address(bytes));
}

MacAddress read_mac(const std::string& bytes) {
    if (bytes.size() != sizeof(MacAddress)) {
        refuse("a MAC address has " + std::to_string(bytes.size()) + " bytes");
    }
    return copied<MacAddress>(bytes);
}

void set(Network::Prefix& to, const Prefix& from) {
    to.set_address(to_bytes(from.address));
    to.set_length(from.length);
}

Prefix read_prefix(const Network::Prefix& from) {
    const Prefix prefix{read_address(from.address()), narrow<std::uint8_t>(from.length())};
    if (prefix.length > (prefix.address.is_v4() ? 32 : 128)) {
        refuse("a prefix has " + std::to_string(prefix.length) + " bits");
    }
    return prefix;
}

void set(Network::Interface& to, const Interface& from) {
    to.set_name(from.name);
    to.set_mac(to_bytes(from.mac));
    to.set_mtu(from.mtu);
    to.set_flags(from.flags);
    to.set_address_generation(from.address_generation);
    for (const InterfaceAddress& address : from.addresses) {
        auto& entry = *to.add_addresses();
        set(*entry.mutable_prefix(), address.prefix);
        entry.set_peer(to_bytes(address.peer));
        entry.set_broadcast(to_bytes(address.broadcast));
        entry.set_scope(address.scope);
        entry.set_flags(address.flags);
    }
}

Interface to_interface(const Network::Interface& from) {
    Interface made;
    made.name = from.name();
    made.mac = read_mac(from.mac());
    made.mtu = from.mtu();
    made.flags = from.flags();
    made.address_generation = narrow<std::uint8_t>(from.address_generation());
    for (const auto& entry : from.addresses()) {
        made.addresses.push_back(
            {read_prefix(entry.prefix()),
             read_optional_address(entry.peer()),
             read_optional_address(entry.broadcast()),
             narrow<std::uint8_t>(entry.scope()),
             entry.flags()}
        );
    }
    return made;
}

void set(Network::Route& to, const Route& from) {
    to.set_family(from.family);
    if (from.destination) {
        set(*to.mutable_destination(), *from.destination);
    }
    to.set_source(to_bytes(from.source));
    to.set_tos(from.tos);
    to.set_table(from.table);
    to.set_protocol(from.protocol);
    to.set_scope(from.scope);
    to.set_type(from.type);
    to.set_priority(from.priority);
    to.mutable_metrics()->insert(from.metrics.begin(), from.metrics.end());
    for (const NextHop& hop : from.next_hops) {
        auto& entry = *to.add_next_hops();
        entry.set_interface(hop.interface);
        entry.set_gateway(to_bytes(hop.gateway));
        entry.set_weight(hop.weight);
        entry.set_flags(hop.flags);
    }
}

Route to_route(const Network::Route& from) {
    Route made;
    made.family = narrow<std::uint8_t>(from.family());
    if (from.has_destination()) {
        made.destination = read_prefix(from.destination());
    }
    made.source = read_optional_address(from.source());
    made.tos = narrow<std::uint8_t>(from.tos());
    made.table = from.table();
    made.protocol = narrow<std::uint8_t>(from.protocol());
    made.scope = narrow<std::uint8_t>(from.scope());
    made.type = narrow<std::uint8_t>(from.type());
    made.priority = from.priority();
    made.metrics.insert(from.metrics().begin(), from.metrics().end());
    for (const auto& entry : from.next_hops()) {
        made.next_hops.push_back(
            {entry.interface(),
             read_optional_address(entry.gateway()),
             narrow<std::uint8_t>(entry.weight()),
             entry.flags()}
        );
    }
    return made;
}

void set(Network::Neighbour& to, const Neighbour& from) {
    to.set_interface(from.interface);
    to.set_address(to_bytes(from.address));
    to.set_mac(from.mac ? to_bytes(*from.mac) : std::string());
    to.set_flags(from.flags);
}

Neighbour to_neighbour(const Network::Neighbour& from) {
    return {
        from.interface(),
        read_address(from.address()),
        from.mac().empty() ? std::nullopt : std::optional(read_mac(from.mac())),
        narrow<std::uint8_t>(from.flags()),
    };
}

void set(Network::Rule& to, const Rule& from) {
    to.set_family(from.family);
    to.set_priority(from.priority);
    to.set_table(from.table);
    to.set_action(from.action);
    to.set_go_to(from.go_to);
    if (from.source) {
        set(*to.mutable_source(), *from.source);
    }
    if (from.destination) {
        set(*to.mutable_destination(), *from.destination);
    }
    to.set_in_interface(from.in_interface);
    to.set_out_interface(from.out_interface);
    to.set_mark(from.mark);
    to.set_mask(from.mask);
    to.set_tos(from.tos);
}

Rule to_rule(const Network::Rule& from) {
    Rule made;
    made.family = narrow<std::uint8_t>(from.family());
    made.priority = from.priority();
    made.table = from.table();
    made.action = narrow<std::uint8_t>(from.action());
    made.go_to = from.go_to();
    if (from.has_source()) {
        made.source = read_prefix(from.source());
    }
    if (from.has_destination()) {
        made.destination = read_prefix(from.destination());
    }
    made.in_interface = from.in_interface();
    made.out_interface = from.out_interface();
    made.mark = from.mark();
    made.mask = from.mask();
    made.tos = narrow<std::uint8_t>(from.tos());
    return made;
}

} // namespace

agent::v2::Network to_message(const State& state) {
    Network message;
    for (const Interface& interface : state.interfaces) {
        set(*message.add_interfaces(), interface);
    }
    for (const Route& route : state.routes) {
        set(*message.add_routes(), route);
    }
    for (const Neighbour& neighbour : state.neighbours) {
        set(*message.add_neighbours(), neighbour);
    }
    for (const Rule& rule : state.rules) {
        set(*message.add_rules(), rule);
    }
    return message;
}

State to_state(const agent::v2::Network& message) {
    State state;
    std::ranges::transform(
        message.interfaces(), std::back_inserter(state.interfaces), to_interface
    );
    std::ranges::transform(message.routes(), std::back_inserter(state.routes), to_route);
    std::ranges::transform(
        message.neighbours(), std::back_inserter(state.neighbours), to_neighbour
    );
    std::ranges::transform(message.rules(), std::back_inserter(state.rules), to_rule);
    return state;
}

} // namespace cppvm::network
