#pragma once

#include "common/os/confinement.hpp"

namespace cppvm::watches {

/// What is left to the process that adds watches (watch_work.hpp), which has entered the share by
/// then. Throws: Error.
Confinement confine_watcher();

} // namespace cppvm::watches
