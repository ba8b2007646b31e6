#pragma once

#include <sys/types.h>

namespace cppvm::storage {

/// The servers of the two shares: of root file systems, which nobody else changes, and of volumes.
struct ShareServers {
    pid_t roots = -1;
    pid_t volumes = -1;
};

} // namespace cppvm::storage
