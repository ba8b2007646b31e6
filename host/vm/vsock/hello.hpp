#pragma once

#include "host/vm/virtual_machine.hpp"
#include "host/vm/vsock/vsock.hpp"

#include <string_view>

namespace cppvm::vm {

/// Decodes the body of a hello. Lengths are bounded and what is not printable is replaced, since
/// all of it comes from the guest and is shown to people. Throws: Error (unavailable).
AgentHello decode_hello(std::string_view body);

/// Waits for the guest's connection to the boot port, reads its hello and accepts it. Of a
/// connection that is cut off before that, waits for the next.
/// Throws: Error (unavailable) if what comes is no hello; the cancellation of
/// `vsock.stop_listening`.
Awaitable<AgentHello> receive_hello(Vsock& vsock);

} // namespace cppvm::vm
