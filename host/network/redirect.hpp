#pragma once

#include "common/network/netlink.hpp"

#include <string>

namespace cppvm::network {

/// Moves a tap from the network namespace `from` (a descriptor) into another and sets it up there,
/// without IPv6 addresses of its own; it goes on serving whoever has it open. Returns its index
/// there. Throws: Error naming it.
int move_tap(const std::string& name, int from, int network_namespace);

/// Sends everything that comes in at `from` out at `to`, before the namespace's own stack sees it:
/// an ingress qdisc with one filter that takes all (matchall, or u32 where the kernel has none).
/// An existing qdisc is shared. Throws: Error naming the kernel's modules that it
/// needs.
void redirect(nl_sock& socket, int from, int to);

/// Whether a redirection of ours, this daemon's or another's, begins there.
bool is_redirected(nl_sock& socket, int from);

/// Undoes that: the filter, and the qdisc if nobody else has a filter there. Whatever is not there
/// is no failure.
void end_redirection(nl_sock& socket, int from) noexcept;

} // namespace cppvm::network
