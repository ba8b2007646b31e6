#pragma once

#include <memory>

namespace cppvm::agent {
class Link;
}

namespace cppvm::sandbox {

/// The link to the agent, held by whoever makes a call on it.
using AgentHandle = std::shared_ptr<agent::Link>;

} // namespace cppvm::sandbox
