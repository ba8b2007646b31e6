#include "common/base/unique_fd.hpp"
#include "guest-agent/network/listeners.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <netinet/in.h>
#include <sys/socket.h>

namespace cppvm::guest {
namespace {

using network::ListeningPort;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

// As the kernel writes them (net/ipv4/tcp_ipv4.c, net/ipv6/tcp_ipv6.c), shortened on the right.
constexpr const char* heading =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n";

TEST(ParseListenersTest, TakesThoseThatLoopbackReaches) {
    const std::string table =
        std::string(heading) +
        "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:0\n"
        "   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:0\n"
        "   2: 0200004D:0051 00000000:0000 0A 00000000:00000000 00:0\n"  // 77.0.0.2
        "   3: 0100007F:0052 0100007F:C350 01 00000000:00000000 00:0\n"  // joined
        "   4: 0B00007F:0035 00000000:0000 0A 00000000:00000000 00:0\n"; // 127.0.0.11
    EXPECT_THAT(
        parse_listeners(table, false),
        ElementsAre(ListeningPort{false, 80, true}, ListeningPort{false, 8080, false})
    );
}

TEST(ParseListenersTest, KnowsTheAddressesOfIpv6) {
    const std::string table =
        std::string(heading) +
        "   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0\n"
        "   1: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 0\n"
        "   2: 000080FE00000000FF005450B6AD1DFE:0051 00000000000000000000000000000000:0000 0A 0\n";
    EXPECT_THAT(
        parse_listeners(table, true),
        ElementsAre(ListeningPort{true, 22, true}, ListeningPort{true, 8080, false})
    );
}

TEST(ParseListenersTest, LeavesOutWhatIsNoLine) {
    EXPECT_THAT(parse_listeners("", false), IsEmpty());
    EXPECT_THAT(
        parse_listeners(
            std::string(heading) +
                "\n:\n  0: 0100007F 0 0A\n  1: 0100007F:10000 0 0A\n 2: 00000000",
            false
        ),
        IsEmpty()
    );
}

/// A socket that listens at a port of the kernel's choice.
class Server {
  public:
    Server(int only_ipv6) : socket_(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in6 address{};
        address.sin6_family = AF_INET6;
        socklen_t size = sizeof address;
        auto* const generic = reinterpret_cast<sockaddr*>(&address);
        EXPECT_EQ(
            ::setsockopt(socket_.get(), IPPROTO_IPV6, IPV6_V6ONLY, &only_ipv6, sizeof only_ipv6), 0
        );
        EXPECT_EQ(::bind(socket_.get(), generic, size), 0);
        EXPECT_EQ(::listen(socket_.get(), 1), 0);
        EXPECT_EQ(::getsockname(socket_.get(), generic, &size), 0);
        port = ntohs(address.sin6_port);
    }

    std::uint16_t port = 0;

  private:
    UniqueFd socket_;
};

TEST(ReadListenersTest, CountsASocketForBothFamiliesThatServesBoth) {
    const Server both(0);
    const Server one(1);
    const auto found = read_listeners();
    EXPECT_THAT(found, Contains(ListeningPort{true, both.port, true}));
    EXPECT_THAT(found, Contains(ListeningPort{false, both.port, true}));
    EXPECT_THAT(found, Contains(ListeningPort{true, one.port, true}));
    EXPECT_THAT(found, Not(Contains(ListeningPort{false, one.port, true})));
}

} // namespace
} // namespace cppvm::guest
