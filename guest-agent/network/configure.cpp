#include "guest-agent/network/configure.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/network/apply_state.hpp"
#include "common/network/change_watch.hpp"
#include "common/network/netlink.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <net/if.h>

namespace cppvm::guest {

namespace {

using network::Interface;
using network::State;

/// A virtio interface carries nothing for a moment after it was set up: the kernel sees to its
/// carrier later. One whose far end is down may never do so.
constexpr std::chrono::seconds carrier_limit{2};

Awaitable<> wait_links(std::function<bool(nl_sock&)> are_ready) {
    constexpr std::array groups{RTNLGRP_LINK};
    network::ChangeWatch watch(co_await asio::this_coro::executor, network::open_socket(), groups);
    const network::Socket socket = network::open_socket();
    while (!are_ready(*socket)) {
        co_await watch.wait();
    }
}

Awaitable<> wait_interfaces(const State& wanted) {
    return wait_links([&wanted](nl_sock& socket) {
        const auto there = network::interfaces_by_mac(socket);
        return std::ranges::all_of(wanted.interfaces, [&](const Interface& interface) {
            return there.contains(interface.mac);
        });
    });
}

Awaitable<> wait_carriers(const State& wanted) {
    return wait_links([&wanted](nl_sock& socket) {
        const auto there = network::interfaces_by_mac(socket);
        return std::ranges::all_of(wanted.interfaces, [&](const Interface& interface) {
            const auto found = there.find(interface.mac);
            return (interface.flags & IFF_UP) == 0 || found == there.end() ||
                   (found->second.flags & IFF_RUNNING) != 0;
        });
    });
}

} // namespace

Awaitable<std::vector<std::string>> configure_network(State wanted, Deadline deadline) {
    co_await with_timeout(wait_interfaces(wanted), deadline, "wait for a network interface");
    std::vector<std::string> unsupported;
    const network::Socket socket = network::open_socket();
    network::apply_state(*socket, wanted, [&](const std::string& what) {
        unsupported.push_back(what);
    });
    co_await ends_by(wait_carriers(wanted), std::min(deadline, deadline_in(carrier_limit)));
    co_return unsupported;
}

} // namespace cppvm::guest
