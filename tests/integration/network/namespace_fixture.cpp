#include "tests/integration/network/namespace_fixture.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/network/namespace.hpp"
#include "tests/support/co_test.hpp"

#include <netlink/route/link.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/qdisc.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace cppvm::network::testing {

namespace {

Awaitable<> open_fresh(UniqueFd& to) {
    const auto executor = co_await asio::this_coro::executor;
    to = co_await open_namespace(
        executor, {NamespaceSpec::Kind::fresh, {}}, deadline_in(std::chrono::seconds(10))
    );
}

UniqueFd fresh_namespace() {
    UniqueFd made;
    cppvm::testing::co_test(open_fresh(made));
    return made;
}

Object<rtnl_link> named_link(const std::string& name) {
    auto link = own<Object<rtnl_link>>(::rtnl_link_alloc());
    ::rtnl_link_set_name(link.get(), name.c_str());
    return link;
}

} // namespace

TestNamespace::TestNamespace() : fd_(fresh_namespace()), socket_(open_socket(fd_.get())) {}

void TestNamespace::add_bridge(const std::string& name, const MacAddress& mac) {
    const auto link = named_link(name);
    check(::rtnl_link_set_type(link.get(), "bridge"), "make", name);
    ::rtnl_link_set_addr(link.get(), to_netlink(mac).get());
    check(::rtnl_link_add(socket_.get(), link.get(), NLM_F_CREATE | NLM_F_EXCL), "add", name);
}

void TestNamespace::add_veth(
    const std::string& name, TestNamespace& other, const std::string& other_name
) {
    const Object<rtnl_link> link(::rtnl_link_veth_alloc());
    ::rtnl_link_set_name(link.get(), name.c_str());
    const Object<rtnl_link> peer(::rtnl_link_veth_get_peer(link.get()));
    ::rtnl_link_set_name(peer.get(), other_name.c_str());
    ::rtnl_link_set_ns_fd(peer.get(), other.descriptor());
    check(::rtnl_link_add(socket_.get(), link.get(), NLM_F_CREATE | NLM_F_EXCL), "add", name);
    set_up(name);
    other.set_up(other_name);
}

void TestNamespace::set_up(const std::string& name) {
    const auto up = own<Object<rtnl_link>>(::rtnl_link_alloc());
    ::rtnl_link_set_flags(up.get(), IFF_UP);
    change_link(*socket_, index_of(name), *up, "set up", name);
}

void TestNamespace::set_mac(const std::string& name, const MacAddress& mac) {
    const auto changed = own<Object<rtnl_link>>(::rtnl_link_alloc());
    ::rtnl_link_set_addr(changed.get(), to_netlink(mac).get());
    change_link(*socket_, index_of(name), *changed, "change", name);
}

void TestNamespace::rename(const std::string& name, const std::string& to) {
    const int index = index_of(name);
    const auto down = own<Object<rtnl_link>>(::rtnl_link_alloc());
    ::rtnl_link_unset_flags(down.get(), IFF_UP);
    change_link(*socket_, index, *down, "set down", name);
    change_link(*socket_, index, *named_link(to), "rename", name);
    set_up(to);
}

void TestNamespace::remove(const std::string& name) {
    check(::rtnl_link_delete(socket_.get(), named_link(name).get()), "remove", name);
}

int TestNamespace::index_of(const std::string& name) {
    return network::index_of(*socket_, name);
}

std::vector<int> TestNamespace::ingress_qdiscs() {
    std::vector<int> found;
    for_each_listed<rtnl_qdisc>(
        "qdiscs",
        [this](nl_cache** to) { return ::rtnl_qdisc_alloc_cache(socket_.get(), to); },
        [&](rtnl_qdisc& qdisc) {
            if (::rtnl_tc_get_parent(TC_CAST(&qdisc)) == TC_H_INGRESS) {
                found.push_back(::rtnl_tc_get_ifindex(TC_CAST(&qdisc)));
            }
        }
    );
    return found;
}

UniqueFd TestNamespace::open_packet_socket(const std::string& name) {
    const NamespaceVisit visit(fd_.get());
    UniqueFd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = index_of(name);
    if (!socket ||
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        throw_errno("open", "packet socket of " + name);
    }
    return socket;
}

UniqueFd open_tap(const std::string& name) {
    UniqueFd tap = open_file("/dev/net/tun", O_RDWR);
    ifreq request{};
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    name.copy(static_cast<char*>(request.ifr_name), IFNAMSIZ - 1);
    if (::ioctl(tap.get(), TUNSETIFF, &request) != 0) {
        throw_errno("make tap", name);
    }
    return tap;
}

} // namespace cppvm::network::testing
