#pragma once

#include <memory>

namespace cppvm::agent {
class AgentConnection;
}

namespace cppvm::sandbox {

/// The connection to the agent, held by whoever makes a call on it.
using AgentHandle = std::shared_ptr<agent::AgentConnection>;

} // namespace cppvm::sandbox
