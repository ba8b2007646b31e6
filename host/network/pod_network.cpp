#include "host/network/pod_network.hpp"

#include "common/base/error.hpp"
#include "common/network/netlink.hpp"
#include "common/network/read_state.hpp"
#include "host/network/links.hpp"
#include "host/network/namespace.hpp"
#include "host/network/redirect.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

namespace cppvm::network {

namespace {

constexpr std::array watched_groups{
    RTNLGRP_LINK,
    RTNLGRP_NEIGH,
    RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV6_ROUTE,
    RTNLGRP_IPV4_RULE,
    RTNLGRP_IPV6_RULE,
};

bool is_of(const std::set<std::string>& names, const std::string& name) {
    return name.empty() || names.contains(name);
}

/// Leaves out what belongs to interfaces that the machine does not have.
void keep_only(State& state, const std::set<std::string>& names) {
    std::erase_if(state.interfaces, [&](const Interface& interface) {
        return !names.contains(interface.name);
    });
    std::erase_if(state.neighbours, [&](const Neighbour& neighbour) {
        return !names.contains(neighbour.interface);
    });
    std::erase_if(state.routes, [&](const Route& route) {
        return std::ranges::any_of(route.next_hops, [&](const NextHop& hop) {
            return !names.contains(hop.interface);
        });
    });
    std::erase_if(state.rules, [&](const Rule& rule) {
        return !is_of(names, rule.in_interface) || !is_of(names, rule.out_interface);
    });
}

} // namespace

PodNetwork::PodNetwork(
    const asio::any_io_executor& executor,
    UniqueFd network_namespace,
    std::string tap_prefix,
    unsigned queues
)
    : namespace_(std::move(network_namespace)), tap_prefix_(std::move(tap_prefix)), queues_(queues),
      socket_(open_socket(namespace_.get())),
      watch_(executor, open_socket(namespace_.get()), watched_groups) {}

PodNetwork::~PodNetwork() {
    release();
}

PodNetwork::Changes PodNetwork::changes() {
    std::set<int> own;
    for (const auto& [nic, joined] : joined_) {
        own.insert(joined.tap_index);
    }
    const std::vector<Link> served = choose_served(list_links(*socket_), own);
    Changes changes;
    for (const auto& [nic, joined] : joined_) {
        const bool is_there = std::ranges::any_of(served, [&](const Link& link) {
            return link.index == joined.index && link.mac == joined.mac;
        });
        if (!is_there) {
            changes.gone.push_back(nic);
        }
    }
    for (const Link& link : served) {
        const bool is_new = std::ranges::none_of(joined_, [&](const auto& entry) {
            return link.index == entry.second.index && link.mac == entry.second.mac;
        });
        if (is_new) {
            const std::string number = std::to_string(last_nic_++); // never again: one that goes
            const std::string nic = "nic" + number;                 // may take its time
            const std::string tap = tap_prefix_ + number;
            joined_.emplace(nic, Joined{link.index, *link.mac, link.name, tap, 0});
            changes.come.push_back({nic, tap, to_text(*link.mac), queues_});
        }
    }
    return changes;
}

const std::string& PodNetwork::interface_of(const vm::Nic& nic) const {
    return joined_.at(nic.name).name;
}

void PodNetwork::join(const vm::Nic& nic, pid_t machine) {
    Joined& joined = joined_.at(nic.name);
    try {
        const UniqueFd machines = open_existing("/proc/" + std::to_string(machine) + "/ns/net");
        joined.tap_index = move_tap(joined.tap, machines.get(), namespace_.get());
        redirect(*socket_, joined.tap_index, joined.index);
        if (is_redirected(*socket_, joined.index)) {
            throw Error(
                Code::failed_precondition,
                "it is another machine's already; a network namespace is one machine's alone"
            );
        }
        redirect(*socket_, joined.index, joined.tap_index);
        joined.is_redirected = true;
    } catch (...) {
        const std::string operation = "join network interface " + joined.name + " to the machine";
        leave(nic.name);
        rethrow_with_context(operation);
    }
}

void PodNetwork::leave(const std::string& nic) noexcept {
    const auto found = joined_.find(nic);
    if (found == joined_.end()) {
        return;
    }
    if (found->second.is_redirected) {
        end_redirection(*socket_, found->second.index);
    }
    joined_.erase(found);
}

State PodNetwork::state() {
    State state = read_state(*socket_);
    std::set<std::string> names;
    for (const Link& link : list_links(*socket_)) {
        const bool is_joined = std::ranges::any_of(joined_, [&](const auto& entry) {
            return entry.second.index == link.index && entry.second.tap_index != 0;
        });
        if (is_joined) {
            names.insert(link.name);
        }
    }
    keep_only(state, names);
    return state;
}

Awaitable<> PodNetwork::wait_change() {
    co_await watch_.wait();
}

void PodNetwork::release() noexcept {
    while (!joined_.empty()) {
        leave(joined_.begin()->first);
    }
}

void remove_leftovers(const NamespaceSpec& network_namespace) noexcept {
    if (network_namespace.kind != NamespaceSpec::Kind::path) {
        return; // it went with its last process
    }
    try {
        const UniqueFd opened = open_existing(network_namespace.path);
        const Socket socket = open_socket(opened.get());
        for (const Link& link : list_links(*socket)) {
            end_redirection(*socket, link.index);
        }
    } catch (const Error&) { // NOLINT(bugprone-empty-catch): it is gone, and with it all of that
    }
}

} // namespace cppvm::network
