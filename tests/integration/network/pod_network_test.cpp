// A tap of the test's takes the place of the machine's.

#include "host/network/pod_network.hpp"
#include "tests/integration/network/namespace_fixture.hpp"
#include "tests/support/co_test.hpp"

#include <gmock/gmock.h>

#include <array>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

namespace cppvm::network {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::open_tap;
using ::testing::SizeIs;
using testing::TestNamespace;

/// An Ethernet frame of a protocol that nobody speaks, to everybody.
std::string frame(const std::string& text) {
    std::string bytes(6, '\xff');
    bytes.append("\x02\0\0\0\0\x09", 6).append("\x88\xb5", 2).append(text);
    bytes.resize(60);
    return bytes;
}

/// The same in VLAN 7 (IEEE 802.1Q).
std::string tagged(const std::string& text) {
    constexpr std::size_t after_addresses = 12;
    return frame(text).insert(after_addresses, "\x81\x00\x00\x07", 4);
}

void send_bytes(const UniqueFd& to, const std::string& bytes) {
    EXPECT_EQ(::write(to.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
}

void send(const UniqueFd& to, const std::string& text) {
    send_bytes(to, frame(text));
}

/// Until that frame arrives, whatever else does; false after some seconds.
bool receives_bytes(const UniqueFd& at, const std::string& wanted) {
    constexpr int limit_ms = 5000;
    pollfd entry{at.get(), POLLIN, 0};
    while (::poll(&entry, 1, limit_ms) == 1) {
        std::array<char, 2048> bytes{};
        const ssize_t size = ::read(at.get(), bytes.data(), bytes.size());
        if (size > 0 && std::string(bytes.data(), static_cast<std::size_t>(size)) == wanted) {
            return true;
        }
    }
    return false;
}

bool receives(const UniqueFd& at, const std::string& text) {
    return receives_bytes(at, frame(text));
}

class PodNetworkTest : public ::testing::Test {
  protected:
    PodNetworkTest() { inside_.add_veth("eth0", outside_, "far"); }

    std::unique_ptr<PodNetwork> open(const std::string& prefix = "cvt") {
        UniqueFd fd(::fcntl(inside_.descriptor(), F_DUPFD_CLOEXEC, 3));
        return std::make_unique<PodNetwork>(
            loop_.get_executor(), std::move(fd), prefix + std::to_string(::getpid() % 9999), 1
        );
    }

    asio::io_context loop_;
    TestNamespace outside_;
    TestNamespace inside_;
};

TEST_F(PodNetworkTest, CarriesFramesBothWays) {
    const auto network = open();
    const PodNetwork::Changes changes = network->changes();
    ASSERT_THAT(changes.come, SizeIs(1));
    const UniqueFd tap = open_tap(changes.come[0].tap);
    network->join(changes.come[0], ::getpid());
    const UniqueFd far = outside_.open_packet_socket("far");
    send(tap, "from the machine");
    EXPECT_TRUE(receives(far, "from the machine"));
    send(far, "to the machine");
    EXPECT_TRUE(receives(tap, "to the machine"));
    EXPECT_TRUE(network->changes().empty());
    EXPECT_EQ(network->state().interfaces.at(0).name, "eth0");
}

TEST_F(PodNetworkTest, CarriesVlanTags) {
    const auto network = open();
    const auto nics = network->changes().come;
    const UniqueFd tap = open_tap(nics.at(0).tap);
    network->join(nics.at(0), ::getpid());
    const UniqueFd far = outside_.open_packet_socket("far");
    send_bytes(far, tagged("to the machine"));
    EXPECT_TRUE(receives_bytes(tap, tagged("to the machine")));
    send_bytes(tap, tagged("from the machine"));
    // The kernel has taken the tag off and tells it besides (PACKET_AUXDATA).
    EXPECT_TRUE(receives(far, "from the machine"));
}

TEST_F(PodNetworkTest, LeavesNothing) {
    auto network = open();
    const auto nics = network->changes().come;
    UniqueFd tap = open_tap(nics.at(0).tap);
    network->join(nics.at(0), ::getpid());
    EXPECT_EQ(inside_.ingress_qdiscs().size(), 2);
    network.reset();
    EXPECT_EQ(inside_.ingress_qdiscs().size(), 1) << "the tap's, which goes with it";
    tap.reset();
    EXPECT_EQ(inside_.ingress_qdiscs().size(), 0);
}

TEST_F(PodNetworkTest, IsOneMachinesAlone) {
    const auto first = open();
    const auto nics = first->changes().come;
    const UniqueFd tap = open_tap(nics.at(0).tap);
    first->join(nics.at(0), ::getpid());
    {
        const auto second = open("cvu");
        const auto others = second->changes().come;
        const UniqueFd other_tap = open_tap(others.at(0).tap);
        try {
            second->join(others.at(0), ::getpid());
            FAIL() << "two machines have it";
        } catch (const Error& error) {
            EXPECT_THAT(error.message(), ::testing::HasSubstr("eth0"));
            EXPECT_THAT(error.message(), ::testing::HasSubstr("another machine's"));
        }
    }
    const UniqueFd far = outside_.open_packet_socket("far");
    send(far, "to the first machine");
    EXPECT_TRUE(receives(tap, "to the first machine"));
}

TEST_F(PodNetworkTest, UndoesWhatAKilledDaemonLeft) {
    auto* const lost = open().release();
    const auto nics = lost->changes().come;
    const UniqueFd tap = open_tap(nics.at(0).tap);
    lost->join(nics.at(0), ::getpid());
    const std::string path = "/proc/self/fd/" + std::to_string(inside_.descriptor());
    remove_leftovers({NamespaceSpec::Kind::path, path});
    EXPECT_EQ(inside_.ingress_qdiscs().size(), 0);
    delete lost; // NOLINT(cppcoreguidelines-owning-memory): once more does no harm
}

TEST_F(PodNetworkTest, TellsWhatComesAndGoes) {
    const auto network = open();
    const auto first = network->changes().come;
    const UniqueFd tap = open_tap(first.at(0).tap);
    network->join(first.at(0), ::getpid());
    inside_.add_veth("net1", outside_, "far1");
    const auto second = network->changes();
    EXPECT_THAT(second.gone, IsEmpty());
    ASSERT_THAT(second.come, SizeIs(1));
    network->leave(second.come[0].name);
    inside_.remove("eth0");
    EXPECT_THAT(network->changes().gone, ElementsAre(first[0].name));
}

TEST_F(PodNetworkTest, FollowsAnInterfaceThatIsRenamed) {
    const auto network = open();
    const auto nics = network->changes().come;
    const UniqueFd tap = open_tap(nics.at(0).tap);
    network->join(nics.at(0), ::getpid());
    inside_.rename("eth0", "other");
    EXPECT_TRUE(network->changes().empty());
    EXPECT_EQ(network->state().interfaces.at(0).name, "other");
}

TEST_F(PodNetworkTest, HearsOfChanges) {
    const auto network = open();
    cppvm::testing::co_test([](PodNetwork& heard, TestNamespace& in) -> Awaitable<> {
        in.add_bridge("br0", {2, 0, 0, 0, 0, 5});
        co_await heard.wait_change();
    }(*network, inside_));
}

TEST_F(PodNetworkTest, NamesTheTapThatIsNotThere) {
    const auto network = open();
    const auto nics = network->changes().come;
    try {
        network->join(nics.at(0), ::getpid());
        FAIL() << "there is no tap";
    } catch (const Error& error) {
        EXPECT_THAT(error.message(), ::testing::HasSubstr("eth0"));
        EXPECT_THAT(error.message(), ::testing::HasSubstr(nics[0].tap));
    }
    EXPECT_THAT(network->changes().come, SizeIs(1)) << "it is as if it had never been";
}

} // namespace
} // namespace cppvm::network
