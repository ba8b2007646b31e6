#include "guest-agent/network/loopback.hpp"

#include "common/base/error.hpp"

#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>

#include <memory>
#include <net/if.h>
#include <string>

namespace cppvm::guest {

namespace {

constexpr int loopback_index = 1; // in every network namespace (the kernel's LOOPBACK_IFINDEX)

struct FreeSocket {
    void operator()(nl_sock* socket) const noexcept { ::nl_socket_free(socket); }
};
struct PutLink {
    void operator()(rtnl_link* link) const noexcept { ::rtnl_link_put(link); }
};

void check(int result, const char* step) {
    if (result < 0) {
        throw Error(
            Code::internal, std::string(step) + " loopback interface: " + ::nl_geterror(result)
        );
    }
}

} // namespace

void bring_up_loopback() {
    const std::unique_ptr<nl_sock, FreeSocket> socket(::nl_socket_alloc());
    const std::unique_ptr<rtnl_link, PutLink> old(::rtnl_link_alloc());
    const std::unique_ptr<rtnl_link, PutLink> change(::rtnl_link_alloc());
    if (!socket || !old || !change) {
        throw Error(Code::resource_exhausted, "no memory for the loopback interface");
    }
    check(::nl_connect(socket.get(), NETLINK_ROUTE), "open netlink socket for");
    ::rtnl_link_set_ifindex(old.get(), loopback_index);
    ::rtnl_link_set_flags(change.get(), IFF_UP);
    check(::rtnl_link_change(socket.get(), old.get(), change.get(), 0), "bring up");
}

} // namespace cppvm::guest
