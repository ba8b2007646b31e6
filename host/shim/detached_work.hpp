#pragma once

#include "common/async/asio.hpp"

#include <functional>

namespace cppvm::shim {

/// Called by work that runs detached: its starter need not wait for the rest.
using ReleaseParent = std::function<void()>;

/// Runs `work` in a fork of this process, in a session of its own, and waits until it has ended or
/// let us go, until `deadline` at most. What it writes to stdout and stderr comes to our stderr
/// meanwhile, and is lost after.
///
/// The work holds none of our descriptors: who started us and waits for their end does not wait for
/// the work. It must not throw. Only in a program with one thread.
/// Throws: Error when it cannot be started.
void run_detached(const std::function<void(const ReleaseParent&)>& work, Deadline deadline);

} // namespace cppvm::shim
