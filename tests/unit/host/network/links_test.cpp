#include "host/network/links.hpp"
#include "tests/support/failure_of.hpp"

#include <gmock/gmock.h>

#include <linux/if_arp.h>

namespace cppvm::network {
namespace {

using cppvm::testing::failure_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Link link(int index, std::string name, std::string kind = "veth") {
    Link made;
    made.index = index;
    made.name = std::move(name);
    made.kind = std::move(kind);
    made.hardware = ARPHRD_ETHER;
    made.is_up = true;
    made.mac = MacAddress{2, 0, 0, 0, 0, static_cast<std::uint8_t>(index)};
    return made;
}

Link loopback() {
    Link made = link(1, "lo", "");
    made.hardware = ARPHRD_LOOPBACK;
    made.mac = MacAddress{};
    return made;
}

std::vector<std::string> served(const std::vector<Link>& links, const std::set<int>& own = {}) {
    std::vector<std::string> names;
    for (const Link& one : choose_served(links, own)) {
        names.push_back(one.name);
    }
    return names;
}

std::string refusal(const std::vector<Link>& links) {
    return failure_of([&] { choose_served(links, {}); });
}

TEST(ChooseServedTest, TakesWhatPassesEthernetFrames) {
    EXPECT_THAT(
        served({loopback(), link(2, "eth0"), link(3, "net1", "macvlan"), link(4, "pci", "")}),
        ElementsAre("eth0", "net1", "pci")
    );
}

TEST(ChooseServedTest, LeavesOutOwnTaps) {
    EXPECT_THAT(served({link(2, "eth0"), link(3, "tap", "tun")}, {3}), ElementsAre("eth0"));
}

TEST(ChooseServedTest, LeavesOutTunnelsThatAKernelPutsEverywhere) {
    Link tunnel = link(2, "tunl0", "ipip");
    tunnel.hardware = ARPHRD_TUNNEL;
    tunnel.is_up = false;
    tunnel.mac.reset();
    EXPECT_THAT(served({tunnel}), IsEmpty());
    tunnel.is_up = true;
    EXPECT_THAT(refusal({tunnel}), HasSubstr("tunl0 (ipip) cannot be given"));
}

TEST(ChooseServedTest, TakesABridgeForItsPorts) {
    Link port = link(3, "eth0");
    port.master = 2;
    EXPECT_THAT(served({link(2, "br0", "bridge"), port}), ElementsAre("br0"));
}

TEST(ChooseServedTest, RefusesWhatTakesFramesFromAnotherThatGoes) {
    Link vlan = link(3, "eth0.10", "vlan");
    vlan.lower = 2;
    EXPECT_THAT(refusal({link(2, "eth0"), vlan}), HasSubstr("sits on eth0"));
    vlan.lower = 9; // of another namespace
    EXPECT_THAT(served({link(2, "eth0"), vlan}), ElementsAre("eth0", "eth0.10"));
}

TEST(ChooseServedTest, RefusesAnIpvlanOfLayer3) {
    Link ipvlan = link(2, "eth0", "ipvlan");
    ipvlan.is_layer_3 = true;
    EXPECT_THAT(refusal({ipvlan}), HasSubstr("mode l2"));
}

TEST(ChooseServedTest, RefusesTwoOfOneMacAddress) {
    Link second = link(3, "net1");
    second.mac = link(2, "").mac;
    EXPECT_THAT(refusal({link(2, "eth0"), second}), HasSubstr("eth0 and net1 have the same MAC"));
}

} // namespace
} // namespace cppvm::network
