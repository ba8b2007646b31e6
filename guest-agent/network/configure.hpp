#pragma once

#include "common/async/asio.hpp"
#include "common/network/state.hpp"

#include <string>
#include <vector>

namespace cppvm::guest {

/// Makes this process's network namespace what `wanted` says. Interfaces that the machine does not
/// have yet are waited for.
/// Gives what the kernel knows nothing of: "address fd00::1/64 of eth0".
/// Throws: Error naming the interface, address or route; deadline_exceeded: an interface does not
/// come. Cancels: some of it may be done.
Awaitable<std::vector<std::string>> configure_network(network::State wanted, Deadline deadline);

} // namespace cppvm::guest
