#pragma once

#include "common/network/state.hpp"
#include "proto/cppvm/agent.pb.h"

namespace cppvm::network {

/// The state as it travels to the agent.
agent::v2::Network to_message(const State& state);

/// Throws: Error (invalid_argument) for an address, MAC or number that is none.
State to_state(const agent::v2::Network& message);

} // namespace cppvm::network
