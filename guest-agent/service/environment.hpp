#pragma once

#include "common/async/asio.hpp"
#include "common/base/unique_fd.hpp"
#include "common/network/state.hpp"
#include "guest-agent/disks/disk.hpp"
#include "guest-agent/network/listeners.hpp"
#include "guest-agent/service/clock.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
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

    /// Gives the machine this name, unless it is empty, and sets sysctls of namespaces; where there
    /// is no machine, nothing happens. Throws: Error.
    virtual void configure_pod(
        const std::string& hostname, const std::map<std::string, std::string>& sysctls
    ) = 0;

    /// Makes the machine's network what `wanted` says, and gives what its kernel knows nothing of;
    /// where there is no machine, nothing happens. Throws: Error; deadline_exceeded.
    virtual Awaitable<std::vector<std::string>>
    set_network(network::State wanted, Deadline deadline) = 0;

    /// Until the machine has a disk of this serial number; where there is no machine, it is the
    /// block device of that name. Throws: Error; deadline_exceeded.
    virtual Awaitable<Disk> find_disk(std::string serial, Deadline deadline) = 0;

    /// Until the machine has a PCI device below that port (its address) of the root bus, and the
    /// kernel has tried its drivers; where there is no machine, nothing happens. Throws: Error;
    /// deadline_exceeded.
    virtual Awaitable<> find_pci_device(std::string port, Deadline deadline) = 0;

    /// The TCP ports that somebody listens on: the first time at once, then when they have changed.
    /// Where there is no machine: never. Throws: Error where this cannot be known. Cancels: nothing
    /// is lost.
    virtual Awaitable<std::set<network::ListeningPort>> next_listeners() = 0;

    /// Until the agent is to end in order. A machine has no such end: the host takes it away.
    virtual Awaitable<> wait_end(asio::any_io_executor executor) = 0;

    /// Ends the machine after a failure; where there is none it returns.
    virtual void power_off() = 0;
};

} // namespace cppvm::guest
