#pragma once

#include "common/base/unique_fd.hpp"
#include "common/log/logger.hpp"
#include "host/config/config.hpp"
#include "host/pod/pod_spec.hpp"
#include "host/rundir/identity.hpp"
#include "host/sandbox/pod_memory.hpp"

#include <filesystem>
#include <functional>
#include <string>

namespace cppvm::shim {

/// What the daemon is given.
struct DaemonSpec {
    Identity identity;
    pod::PodSpec pod;
    std::string id;               ///< the container whose start made the daemon
    std::filesystem::path bundle; ///< of that container; absolute, and the working directory
    std::string ttrpc_address;    ///< containerd's, for events; empty: publish none
    std::string publish_binary;   ///< containerd's executable
    config::Config config;
    Logger logger; ///< to the bundle's log fifo, with the sandbox's id and namespace
    LogLevel log_level = LogLevel::info;
    std::filesystem::path stand_in_program;
    std::filesystem::path run_dir; ///< exists; its lock and `daemon.pid` are held by the caller
    UniqueFd listener;             ///< listens already; non-blocking
    UniqueFd ending_signals;       ///< from catch_ending_signals
    sandbox::PodMemory memory;     ///< of the cgroup that the caller is in
    /// Called with what CreateSandbox has said of the pod, before anything of it runs. Does not
    /// throw.
    std::function<void(const pod::PodSpec&)> on_created;
    /// Called, perhaps repeatedly, when nothing of a pod of the Sandbox API runs any more. Does not
    /// throw.
    std::function<void()> on_stopped;
    /// Called, perhaps repeatedly, before the answer after which a pod without the Sandbox API is
    /// undone: containerd has asked for its end, and its last container is gone. Does not throw.
    std::function<void()> on_shutting_down;
    /// Called when containerd has asked for the end and been answered, before anything is undone.
    std::function<void()> on_ending;
};

/// The daemon's life after `start` has succeeded: serves the Task API, and the Sandbox API where
/// the pod awaits its CreateSandbox, until containerd shuts it down or SIGTERM comes (from
/// `delete`, which waits two seconds before it kills), or until containerd has not connected, or
/// not created the sandbox, for as long as a boot may take; then stops the sandbox and undoes what
/// it made. A second SIGTERM, or one during the end, changes nothing.
///
/// The caller has ignored SIGPIPE, set the umask to 022, oom_score_adj and core scheduling. After
/// it returned or threw, the caller removes socket and run directory, and undoes leftovers in it.
///
/// Returns the exit code. Throws: what the daemon cannot go on with; the caller logs it.
int serve(DaemonSpec spec);

} // namespace cppvm::shim
