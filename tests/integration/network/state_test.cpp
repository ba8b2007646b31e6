#include "common/network/apply_state.hpp"
#include "common/network/read_state.hpp"
#include "tests/integration/network/namespace_fixture.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

namespace cppvm::network {
namespace {

using asio::ip::make_address;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::TestNamespace;

constexpr MacAddress first_mac{2, 0, 0, 0, 0, 1};
constexpr MacAddress second_mac{2, 0, 0, 0, 0, 2};

State two_interfaces() {
    State state;
    state.interfaces = {
        {"eth0",
         first_mac,
         1400,
         IFF_UP | IFF_MULTICAST | IFF_NOARP,
         IN6_ADDR_GEN_MODE_NONE,
         {{{make_address("10.1.0.2"), 16},
           {},
           make_address("10.1.255.255"),
           RT_SCOPE_UNIVERSE,
           IFA_F_NOPREFIXROUTE},
          {{make_address("fd00::2"), 64}, {}, {}, RT_SCOPE_UNIVERSE, IFA_F_NOPREFIXROUTE}}},
        {"net1", second_mac, 9000, IFF_UP | IFF_NOARP, IN6_ADDR_GEN_MODE_NONE, {}},
    };
    Route gateway;
    gateway.family = AF_INET;
    gateway.table = RT_TABLE_MAIN;
    gateway.protocol = RTPROT_STATIC;
    gateway.type = RTN_UNICAST;
    gateway.next_hops = {{"eth0", make_address("10.1.0.1"), 0, 0}};
    Route link = gateway;
    link.destination = Prefix{make_address("192.0.2.0"), 24};
    link.scope = RT_SCOPE_LINK;
    link.next_hops = {{"net1", {}, 0, 0}};
    Route neighbourhood = link;
    neighbourhood.destination = Prefix{make_address("10.1.0.0"), 16};
    neighbourhood.next_hops = {{"eth0", {}, 0, 0}};
    state.routes = {gateway, link, neighbourhood}; // the first needs the last
    state.neighbours = {{"eth0", make_address("10.1.0.1"), second_mac, 0}};
    return state;
}

void add_interfaces(TestNamespace& to, const std::vector<MacAddress>& macs) {
    for (std::size_t i = 0; i < macs.size(); ++i) {
        to.add_bridge("before" + std::to_string(i), macs[i]);
    }
}

void apply(TestNamespace& to, const State& state) {
    std::vector<std::string> unsupported;
    apply_state(to.socket(), state, [&](const std::string& what) { unsupported.push_back(what); });
    EXPECT_THAT(unsupported, IsEmpty());
}

TEST(NetworkStateTest, IsTheSameAfterItWasAppliedElsewhere) {
    TestNamespace from;
    add_interfaces(from, {first_mac, second_mac});
    apply(from, two_interfaces());
    const State there = read_state(from.socket());
    EXPECT_THAT(there.interfaces, SizeIs(2));
    EXPECT_EQ(there.interfaces[0].name, "eth0");
    TestNamespace to;
    add_interfaces(to, {second_mac, first_mac}); // the other way round: MACs decide
    apply(to, there);
    State here = read_state(to.socket());
    std::ranges::sort(here.interfaces, {}, &Interface::name);
    EXPECT_EQ(here.interfaces, there.interfaces);
    EXPECT_EQ(here.routes, there.routes);
    EXPECT_EQ(here.neighbours, there.neighbours);
}

} // namespace
} // namespace cppvm::network
