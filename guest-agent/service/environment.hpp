#pragma once

#include "common/async/asio.hpp"
#include "common/base/unique_fd.hpp"
#include "guest-agent/service/clock.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace cppvm::guest {

/// A phase of the boot and when it ended, on the kernel's monotonic clock.
struct BootPhase {
    std::string name;
    std::uint64_t ended_at_us = 0;
};

/// Where the agent runs: a virtual machine whose PID 1 it is (boot/machine.hpp), or a process among
/// others, for tests and debugging (boot/process_environment.hpp). All that differs is here.
class Environment {
  public:
    Environment() = default;
    Environment(const Environment&) = delete;
    Environment& operator=(const Environment&) = delete;
    virtual ~Environment() = default;

    /// Where the host's files are.
    virtual std::string share() const = 0;
    /// The cgroup (v2) under which containers get theirs.
    virtual std::filesystem::path cgroup_root() const = 0;

    /// A non-blocking listening socket for the host's connections. Throws: Error.
    virtual UniqueFd listen() = 0;
    /// Whether an accepted connection is the host's.
    virtual bool is_from_host(int connection) const = 0;

    /// A connection to say hello on; nothing where the host does not want any.
    /// Throws: Error. Cancels: the attempt.
    virtual Awaitable<std::optional<StreamSocket>> dial_host() = 0;
    /// Phases that ended before the agent itself began.
    virtual std::vector<BootPhase> phases() const = 0;

    /// Changes the machine's wall clock; where there is none of its own, nothing happens.
    virtual void change_clock(const ClockChange& change) = 0;

    /// Until the agent is to end in order. A machine has no such end: the host takes it away.
    virtual Awaitable<> wait_end(asio::any_io_executor executor) = 0;

    /// Ends the machine after a failure; where there is none it returns.
    virtual void power_off() = 0;
};

} // namespace cppvm::guest
