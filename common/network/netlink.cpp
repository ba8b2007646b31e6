#include "common/network/netlink.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"

#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/handlers.h>
#include <netlink/route/link.h>

#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/if_arp.h>
#include <sched.h>
#include <span>
#include <sys/socket.h>
#include <system_error>
#include <utility>

namespace cppvm::network {

namespace {

template <class Bytes>
Address build(int family, const Bytes& bytes) {
    return own<Address>(::nl_addr_build(family, bytes.data(), bytes.size()));
}

std::span<const std::uint8_t> bytes_of(const nl_addr* address) {
    return {
        static_cast<const std::uint8_t*>(::nl_addr_get_binary_addr(address)),
        ::nl_addr_get_len(address)
    };
}

/// What the kernel has refused last. libnl keeps its own numbers alone, which are fewer, and no
/// reasons.
struct KernelError {
    int number = 0;
    std::string reason;
};
thread_local KernelError last_error;

// The attributes that follow: include/uapi/linux/netlink.h, enum nlmsgerr_attrs.
int keep_error(sockaddr_nl* /*from*/, nlmsgerr* error, void* /*argument*/) {
    last_error = {-error->error, {}};
    const auto* const header =
        reinterpret_cast<const nlmsghdr*>(reinterpret_cast<const char*>(error) - NLMSG_HDRLEN);
    std::size_t used = sizeof *error;
    if ((header->nlmsg_flags & NLM_F_CAPPED) == 0) {
        used += error->msg.nlmsg_len - NLMSG_HDRLEN;
    }
    const std::size_t size = header->nlmsg_len - NLMSG_HDRLEN;
    if ((header->nlmsg_flags & NLM_F_ACK_TLVS) != 0 && used < size) {
        const auto* const first =
            reinterpret_cast<const nlattr*>(reinterpret_cast<const char*>(error) + used);
        const nlattr* const reason =
            ::nla_find(first, static_cast<int>(size - used), NLMSGERR_ATTR_MSG);
        if (reason != nullptr) {
            last_error.reason = ::nla_get_string(reason);
        }
    }
    return NL_STOP;
}

} // namespace

void throw_out_of_memory() {
    throw Error(Code::resource_exhausted, "configure network: out of memory");
}

void check(int result, std::string_view step, std::string_view object) {
    if (result >= 0) {
        return;
    }
    const KernelError kernel = std::exchange(last_error, {});
    const std::string what = std::string(step) + " " + std::string(object);
    if (kernel.number == 0 || -::nl_syserr2nlerr(kernel.number) != result) {
        throw Error(Code::unknown, what + ": " + ::nl_geterror(result)); // not the kernel's
    }
    const std::error_code cause(kernel.number, std::system_category());
    const std::string reason = kernel.reason.empty() ? "" : " (" + kernel.reason + ")";
    throw Error(code_of_errno(kernel.number), what + ": " + cause.message() + reason, cause);
}

Socket open_socket() {
    auto socket = own<Socket>(::nl_socket_alloc());
    check(::nl_connect(socket.get(), NETLINK_ROUTE), "open", "netlink socket");
    ::nl_socket_modify_err_cb(socket.get(), NL_CB_CUSTOM, keep_error, nullptr);
    const int on = 1; // where the kernel does not give reasons, there are none
    ::setsockopt(::nl_socket_get_fd(socket.get()), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    return socket;
}

void for_each_link(nl_sock& socket, const std::function<void(rtnl_link&)>& visit) {
    for_each_listed<rtnl_link>(
        "network interfaces",
        [&](nl_cache** to) { return ::rtnl_link_alloc_cache(&socket, AF_UNSPEC, to); },
        visit
    );
}

std::string to_text(const char* words) {
    return words == nullptr ? std::string() : std::string(words);
}

int index_of(nl_sock& socket, const std::string& name) {
    rtnl_link* found = nullptr;
    check(::rtnl_link_get_kernel(&socket, 0, name.c_str(), &found), "find network interface", name);
    return ::rtnl_link_get_ifindex(Object<rtnl_link>(found).get());
}

void change_link(
    nl_sock& socket, int index, rtnl_link& to, std::string_view step, std::string_view name
) {
    const auto which = own<Object<rtnl_link>>(::rtnl_link_alloc());
    ::rtnl_link_set_ifindex(which.get(), index);
    check(::rtnl_link_change(&socket, which.get(), &to, 0), step, name);
}

NamespaceVisit::NamespaceVisit(int network_namespace)
    : home_(open_file("/proc/thread-self/ns/net", O_RDONLY)) {
    if (::setns(network_namespace, CLONE_NEWNET) != 0) {
        throw_errno("enter", "the network namespace");
    }
}

NamespaceVisit::~NamespaceVisit() {
    if (::setns(home_.get(), CLONE_NEWNET) != 0) {
        std::abort(); // in the wrong namespace nothing may go on
    }
}

Socket open_socket(int network_namespace) {
    return in_namespace(network_namespace, [] { return open_socket(); });
}

Address to_netlink(const asio::ip::address& address) {
    return address.is_v4() ? build(AF_INET, address.to_v4().to_bytes())
                           : build(AF_INET6, address.to_v6().to_bytes());
}

Address to_netlink(const Prefix& prefix) {
    Address address = to_netlink(prefix.address);
    ::nl_addr_set_prefixlen(address.get(), prefix.length);
    return address;
}

Address to_netlink(const MacAddress& mac) {
    return build(AF_LLC, mac);
}

std::optional<asio::ip::address> to_address(const nl_addr* address) {
    if (address == nullptr) {
        return std::nullopt;
    }
    const auto bytes = bytes_of(address);
    if (bytes.size() == sizeof(asio::ip::address_v4::bytes_type)) {
        asio::ip::address_v4::bytes_type raw{};
        std::memcpy(raw.data(), bytes.data(), raw.size());
        return asio::ip::address_v4(raw);
    }
    if (bytes.size() == sizeof(asio::ip::address_v6::bytes_type)) {
        asio::ip::address_v6::bytes_type raw{};
        std::memcpy(raw.data(), bytes.data(), raw.size());
        return asio::ip::address_v6(raw);
    }
    return std::nullopt;
}

std::optional<Prefix> to_prefix(const nl_addr* address) {
    const auto plain = to_address(address);
    if (!plain) {
        return std::nullopt;
    }
    return Prefix{*plain, static_cast<std::uint8_t>(::nl_addr_get_prefixlen(address))};
}

std::optional<MacAddress> to_mac(const nl_addr* address) {
    MacAddress mac{};
    if (address == nullptr || ::nl_addr_get_len(address) != mac.size()) {
        return std::nullopt;
    }
    std::memcpy(mac.data(), ::nl_addr_get_binary_addr(address), mac.size());
    return mac;
}

} // namespace cppvm::network
