#include "host/network/redirect.hpp"

#include "common/base/error.hpp"

#include <netlink/errno.h>
#include <netlink/route/act/mirred.h>
#include <netlink/route/action.h>
#include <netlink/route/classifier.h>
#include <netlink/route/cls/matchall.h>
#include <netlink/route/cls/u32.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet6.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/tc.h>

#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/tc_act/tc_mirred.h>

namespace cppvm::network {

namespace {

constexpr std::uint32_t ingress_handle = TC_H_MAKE(TC_H_INGRESS, 0);

// By which our filter is known among others': no other has this priority by chance.
constexpr std::uint16_t own_priority = 0xc99;

Object<rtnl_qdisc> make_ingress_qdisc(int index) {
    auto qdisc = own<Object<rtnl_qdisc>>(::rtnl_qdisc_alloc());
    rtnl_tc* const tc = TC_CAST(qdisc.get());
    ::rtnl_tc_set_ifindex(tc, index);
    ::rtnl_tc_set_parent(tc, TC_H_INGRESS);
    ::rtnl_tc_set_handle(tc, ingress_handle);
    check(::rtnl_tc_set_kind(tc, "ingress"), "make", "an ingress qdisc");
    return qdisc;
}

void add_ingress_qdisc(nl_sock& socket, int index) {
    const auto qdisc = make_ingress_qdisc(index);
    const int result = ::rtnl_qdisc_add(&socket, qdisc.get(), NLM_F_CREATE | NLM_F_EXCL);
    if (result != -NLE_EXIST) {
        check(result, "add an ingress qdisc (module sch_ingress)", "to a network interface");
    }
}

/// Nothing where there is no qdisc.
Cache find_filters(nl_sock& socket, int index) {
    nl_cache* made = nullptr;
    const int result = ::rtnl_cls_alloc_cache(&socket, index, ingress_handle, &made);
    return result < 0 ? Cache() : Cache(made);
}

bool has_filters(nl_sock& socket, int index) {
    const Cache filters = find_filters(socket, index);
    return filters && ::nl_cache_nitems(filters.get()) > 0;
}

Object<rtnl_act> make_redirection(int to) {
    auto action = own<Object<rtnl_act>>(::rtnl_act_alloc());
    check(::rtnl_tc_set_kind(TC_CAST(action.get()), "mirred"), "make", "a redirection");
    ::rtnl_mirred_set_action(action.get(), TCA_EGRESS_REDIR);
    ::rtnl_mirred_set_policy(action.get(), TC_ACT_STOLEN);
    ::rtnl_mirred_set_ifindex(action.get(), static_cast<std::uint32_t>(to));
    return action;
}

Object<rtnl_cls> make_filter(int from, const char* kind) {
    auto filter = own<Object<rtnl_cls>>(::rtnl_cls_alloc());
    rtnl_tc* const tc = TC_CAST(filter.get());
    ::rtnl_tc_set_ifindex(tc, from);
    ::rtnl_tc_set_parent(tc, ingress_handle);
    if (kind != nullptr) {
        check(::rtnl_tc_set_kind(tc, kind), "make", "a filter");
    }
    ::rtnl_cls_set_prio(filter.get(), own_priority);
    ::rtnl_cls_set_protocol(filter.get(), ETH_P_ALL);
    return filter;
}

int add_matchall(nl_sock& socket, int from, int to) {
    const auto filter = make_filter(from, "matchall");
    const auto action = make_redirection(to);
    check(::rtnl_mall_append_action(filter.get(), action.get()), "make", "a filter");
    return ::rtnl_cls_add(&socket, filter.get(), NLM_F_CREATE);
}

int add_u32(nl_sock& socket, int from, int to) {
    const auto filter = make_filter(from, "u32");
    const auto action = make_redirection(to);
    check(::rtnl_u32_add_key_uint32(filter.get(), 0, 0, 0, 0), "make", "a filter");
    check(::rtnl_u32_set_cls_terminal(filter.get()), "make", "a filter");
    check(::rtnl_u32_add_action(filter.get(), action.get()), "make", "a filter");
    return ::rtnl_cls_add(&socket, filter.get(), NLM_F_CREATE);
}

} // namespace

int move_tap(const std::string& name, int from, int network_namespace) {
    const Socket here = open_socket(from);
    const auto moved = own<Object<rtnl_link>>(::rtnl_link_alloc());
    ::rtnl_link_set_ns_fd(moved.get(), network_namespace);
    change_link(
        *here,
        index_of(*here, name),
        *moved,
        "move into the container's network namespace: tap",
        name
    );
    const Socket there = open_socket(network_namespace);
    const int index = index_of(*there, name);
    const auto up = own<Object<rtnl_link>>(::rtnl_link_alloc());
    ::rtnl_link_set_flags(up.get(), IFF_UP);
    static_cast<void>(::rtnl_link_inet6_set_addr_gen_mode(up.get(), IN6_ADDR_GEN_MODE_NONE));
    change_link(*there, index, *up, "set up tap", name);
    return index;
}

void redirect(nl_sock& socket, int from, int to) {
    add_ingress_qdisc(socket, from);
    int result = add_matchall(socket, from, to);
    if (result == -NLE_OBJ_NOTFOUND) { // a kernel without cls_matchall
        result = add_u32(socket, from, to);
    }
    check(
        result,
        "redirect frames (modules cls_matchall or cls_u32, and act_mirred)",
        "of a network interface"
    );
}

bool is_redirected(nl_sock& socket, int from) {
    const Cache filters = find_filters(socket, from);
    nl_object* each = filters ? ::nl_cache_get_first(filters.get()) : nullptr;
    for (; each != nullptr; each = ::nl_cache_get_next(each)) {
        if (::rtnl_cls_get_prio(reinterpret_cast<rtnl_cls*>(each)) == own_priority) {
            return true;
        }
    }
    return false;
}

void end_redirection(nl_sock& socket, int from) noexcept {
    try {
        const auto filter = make_filter(from, nullptr);
        static_cast<void>(::rtnl_cls_delete(&socket, filter.get(), 0));
        if (!has_filters(socket, from)) {
            const auto qdisc = make_ingress_qdisc(from);
            static_cast<void>(::rtnl_qdisc_delete(&socket, qdisc.get()));
        }
    } catch (const Error&) { // NOLINT(bugprone-empty-catch): out of memory
    }
}

} // namespace cppvm::network
