#pragma once

#include "common/oci/spec.hpp"
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
    enum class Phase { created, running, paused, stopped };

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
    std::optional<oci::Process> to_execute; ///< of an exec, until it is started
    ProcessState state;
    /// From the request that makes it there on, unless the guest refuses that.
    std::shared_ptr<agent::GuestProcess> in_guest;
    pid_t pid = 0;
    Event ended;                       ///< its end is known, and will be reported without the guest
    Event deleted;                     ///< of an exec: containerd has deleted it
    std::shared_ptr<StandIn> stand_in; ///< shared with the task that watches it
    std::unique_ptr<io::ProcessIo> io;
};

} // namespace cppvm::sandbox
