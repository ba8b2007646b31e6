#pragma once

#include "host/agent/link.hpp"

#include <chrono>

namespace cppvm::sandbox {

/// How long each thing that depends on the guest may take. Plain data; tests shorten them.
struct Timeouts {
    using Duration = std::chrono::milliseconds;

    /// The agent prepares mounts over virtiofs; under emulation with several machines that takes
    /// seconds at worst.
    Duration create{60'000};
    Duration start{60'000};
    Duration signal{3'000};
    /// containerd asks for State and Pids with limits of 2 s and more.
    Duration list{1'500};
    /// The agent waits some seconds itself for processes that are to stop.
    Duration freeze{15'000};
    Duration update{5'000};
    Duration look_again{5'000};
    /// A guest whose processes hang does not answer. With the wait for the rest of a process's
    /// output before it (drain_before_delete), a Delete stays below the 5 s that are promised.
    Duration delete_in_guest{2'000};
    /// As much again where a root file system is to be unmounted, which writes what is left of it.
    Duration unmount{5'000};
    /// The guest's kernel lets go of devices that nothing uses.
    Duration detach_devices{5'000};
    /// From SIGKILL until the host stops to wait for the guest. By configuration.
    Duration kill{10'000};
    /// For the answer to a start once the guest has reported the exit.
    Duration start_answer{2'000};
    /// The exits of execs are in the guest already when init's is; this only bounds a guest that
    /// lies.
    Duration exec_exit{2'000};
    /// After a process's exit until that is told, for its output to be read (ProcessIo::delivered).
    /// Less than `exec_exit`.
    Duration delivery{1'000};
    /// After a process's exit, for what is left of its output.
    Duration stream_grace{2'000};
    /// Of the link to the agent: `reconnect` after its loss the machine is destroyed.
    agent::Link::Limits link = {};
};

} // namespace cppvm::sandbox
