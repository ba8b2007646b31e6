#pragma once

#include "host/agent/guest_process.hpp"
#include "host/io/process_io.hpp"
#include "host/sandbox/process_state.hpp"
#include "host/standin/stand_in.hpp"
#include "proto/cppvm/agent.pb.h"

#include <memory>
#include <optional>
#include <string>

namespace cppvm::sandbox {

/// What containerd asks about a process. Plain data.
struct ProcessStatus {
    enum class Phase { created, running, stopped };

    std::string container_id;
    std::string exec_id; ///< empty: the container's init
    Phase phase = Phase::created;
    pid_t pid = 0; ///< of the stand-in; kept after the exit
    io::StdioSpec stdio;
    std::optional<Exit> exit;
};

/// One process of a container with everything that the host holds for it.
///
/// Owns: the stand-in until the process has exited, the stdio until it is drained.
/// Thread: the loop's only.
struct Process {
    Process(
        const asio::any_io_executor& executor,
        std::string container,
        std::string exec,
        io::StdioSpec spec
    );

    bool is_init() const noexcept { return exec_id.empty(); }
    /// "container c1" or "exec e1 of container c1", for error texts.
    std::string name() const;
    ProcessStatus status() const;
    agent::v2::ProcessRef reference() const;
    /// Kills and reaps the stand-in, if there still is one.
    void end_stand_in() noexcept;

    std::string container_id;
    std::string exec_id;
    io::StdioSpec stdio;
    std::string exec_spec; ///< of an exec: the process object of the OCI spec (JSON)
    ProcessState state;
    std::shared_ptr<agent::GuestProcess> in_guest; ///< from the request that makes it there on
    bool maybe_in_guest = false; ///< of an exec: the guest was asked for it, and did not refuse
    pid_t pid = 0;
    Event ended;                       ///< its end is known, and will be reported without the guest
    Event deleted;                     ///< of an exec: containerd has deleted it
    bool kill_clock = false;           ///< it has got SIGKILL, and the host's clock runs
    std::shared_ptr<StandIn> stand_in; ///< shared with the task that watches it
    std::unique_ptr<io::ProcessIo> io;
};

} // namespace cppvm::sandbox
