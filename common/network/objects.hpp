#pragma once

#include "common/network/netlink.hpp"
#include "common/network/state.hpp"

#include <netlink/route/addr.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/route.h>
#include <netlink/route/rule.h>

#include <map>
#include <string>

/// Parts of a State as libnl's objects, for requests to the kernel. Private to common/network.
namespace cppvm::network {

/// Indices of interfaces by name.
using Indices = std::map<std::string, int>;

/// Without duplicate address detection: whoever had the address before has done it.
Object<rtnl_addr> to_object(const InterfaceAddress& address, int index);

// Throw Error naming an interface that is not in `indices`.
Object<rtnl_route> to_object(const Route& route, const Indices& indices);
Object<rtnl_neigh> to_object(const Neighbour& neighbour, const Indices& indices);

Object<rtnl_rule> to_object(const Rule& rule);

// For errors and warnings: "route 10.0.0.0/8".
std::string name_of(const InterfaceAddress& address, const std::string& interface);
std::string name_of(const Route& route);
std::string name_of(const Neighbour& neighbour);
std::string name_of(const Rule& rule);

} // namespace cppvm::network
