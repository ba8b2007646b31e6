#pragma once

#include "common/wire/preamble.hpp"
#include "host/vm/virtual_machine.hpp"

#include <optional>

namespace cppvm::agent {

/// A connection that the agent has accepted.
struct Dialled {
    StreamSocket socket;
    std::uint64_t received = 0; ///< bytes of the resumed stream that have arrived in the guest
};

/// Dials the agent and opens the connection with `preamble`. Nothing if the agent refused it. Only
/// after the machine's hello.
/// Throws: Error (unavailable, deadline_exceeded). Cancels: nothing is left.
Awaitable<std::optional<Dialled>>
dial(vm::VirtualMachine& machine, wire::Preamble preamble, Deadline deadline);

} // namespace cppvm::agent
