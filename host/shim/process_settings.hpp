#pragma once

namespace cppvm::shim {

/// Makes the kernel end this process a little before containerd when memory is short:
/// oom_score_adj one above what it inherited. False if the kernel does not let us.
bool raise_oom_score() noexcept;

/// Gives this process, and all that it starts, processor cores that it shares with nobody else
/// (core scheduling, prctl(PR_SCHED_CORE), Linux 5.14). On a machine whose cores have one thread
/// each that is so without doing anything.
/// Throws: Error if the kernel cannot do it.
void isolate_cores();

} // namespace cppvm::shim
