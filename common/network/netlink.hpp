#pragma once

#include "common/base/unique_fd.hpp"
#include "common/network/state.hpp"

#include <netlink/addr.h>
#include <netlink/cache.h>
#include <netlink/netlink.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

struct rtnl_link;

/// libnl's objects with owners, and its values as ours. Private to common/network and to what
/// configures interfaces.
namespace cppvm::network {

struct FreeSocket {
    void operator()(nl_sock* socket) const noexcept { ::nl_socket_free(socket); }
};
struct FreeCache {
    void operator()(nl_cache* cache) const noexcept { ::nl_cache_free(cache); }
};
struct PutObject {
    template <class T>
    void operator()(T* object) const noexcept {
        ::nl_object_put(reinterpret_cast<nl_object*>(object));
    }
};
struct PutAddress {
    void operator()(nl_addr* address) const noexcept { ::nl_addr_put(address); }
};

/// This thread in another network namespace, as long as it lives.
class NamespaceVisit {
  public:
    /// Throws: Error.
    explicit NamespaceVisit(int network_namespace);
    NamespaceVisit(const NamespaceVisit&) = delete;
    NamespaceVisit& operator=(const NamespaceVisit&) = delete;
    ~NamespaceVisit();

  private:
    UniqueFd home_;
};

using Socket = std::unique_ptr<nl_sock, FreeSocket>;
using Cache = std::unique_ptr<nl_cache, FreeCache>;
using Address = std::unique_ptr<nl_addr, PutAddress>;
template <class T>
using Object = std::unique_ptr<T, PutObject>;

/// Runs `work` with this thread in another network namespace, and comes back: for sockets, which
/// stay in the namespace where they were made. Throws: Error; what `work` throws.
template <class Work>
auto in_namespace(int network_namespace, Work work) {
    const NamespaceVisit visit(network_namespace);
    return work();
}

/// A socket for NETLINK_ROUTE in this thread's network namespace. Throws: Error.
Socket open_socket();

/// The same in another namespace; this thread goes there and back. Throws: Error.
Socket open_socket(int network_namespace);

/// Throws: Error "<step> <object>: <the kernel's words, and its reason>" for a negative result of
/// the last operation on a socket of `open_socket`.
void check(int result, std::string_view step, std::string_view object);

[[noreturn]] void throw_out_of_memory();

/// Throws: Error (resource_exhausted) for null.
template <class Owner, class T>
Owner own(T* made) {
    if (made == nullptr) {
        throw_out_of_memory();
    }
    return Owner(made);
}

/// Calls `visit` with each object (libnl's type T) of the cache that `allocate(nl_cache**)` fills.
/// Throws: Error "list <what>: …"; what `visit` throws.
template <class T, class Allocate, class Visit>
void for_each_listed(std::string_view what, Allocate allocate, Visit visit) {
    nl_cache* made = nullptr;
    check(allocate(&made), "list", what);
    const Cache cache(made);
    for (nl_object* item = ::nl_cache_get_first(cache.get()); item != nullptr;
         item = ::nl_cache_get_next(item)) {
        visit(*reinterpret_cast<T*>(item));
    }
}

/// The same with all interfaces of the namespace.
void for_each_link(nl_sock& socket, const std::function<void(rtnl_link&)>& visit);

/// libnl's words; empty for null.
std::string to_text(const char* words);

/// Throws: Error naming it.
int index_of(nl_sock& socket, const std::string& name);

/// Makes an interface what `to` says. Throws: Error "<step> <name>: …".
void change_link(
    nl_sock& socket, int index, rtnl_link& to, std::string_view step, std::string_view name
);

Address to_netlink(const asio::ip::address& address);
Address to_netlink(const Prefix& prefix);
Address to_netlink(const MacAddress& mac);

/// Nothing for null and for other families.
std::optional<asio::ip::address> to_address(const nl_addr* address);
std::optional<Prefix> to_prefix(const nl_addr* address);
std::optional<MacAddress> to_mac(const nl_addr* address);

} // namespace cppvm::network
