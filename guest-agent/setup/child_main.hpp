#pragma once

#include "guest-agent/setup/launch.hpp"

namespace cppvm::guest {

/// What a new child does, from its first instruction to the container's program. A failure goes to
/// the agent over the control channel. Private to setup/.
[[noreturn]] void run_init_child(const InitLaunch& launch, int control);
[[noreturn]] void run_exec_child(const ExecLaunch& launch, int control);

} // namespace cppvm::guest
