#pragma once

#include "common/async/asio.hpp"
#include "host/storage/share_servers.hpp"
#include "host/vm/devices.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace cppvm::vm {

/// What a virtual machine is made of: plain data, complete before anything is started.
struct VmSpec {
    std::string name;  ///< the domain's name, "cppvm-<short id>"
    std::string uuid;  ///< derived from the sandbox's identity, so that `delete` can compute it
    std::string title; ///< "<namespace>/<sandbox id>", for people who list domains
    unsigned vcpus = 1;
    unsigned memory_mib = 0;
    unsigned huge_page_mib = 0; ///< 0: ordinary pages
    std::vector<Nic> nics;      ///< that it boots with
    std::optional<UserNic> user_nic;
    unsigned hotplug_slots = 0; ///< for devices that come while it runs; each costs boot time
    unsigned pci_ports = 0;     ///< for PciDevices besides; at most `max_pci_ports`
    std::filesystem::path kernel;
    std::filesystem::path initramfs;
    std::string command_line;        ///< without what the hypervisor adds (console, boot port)
    std::filesystem::path run_dir;   ///< sockets, pid files, console log; owned by the sandbox
    std::filesystem::path share_dir; ///< empty; the virtiofs servers mount their shares over it
};

/// A phase of the start and when it ended, for the log and scripts/bench.
struct Phase {
    std::string name;
    std::chrono::steady_clock::time_point ended;
};

/// What the agent said when it was ready. From the guest: bounded, but not to be trusted.
struct AgentHello {
    std::uint32_t protocol_version = 0;
    std::string build_id;
    std::string kernel_release;
    std::vector<std::pair<std::string, std::uint64_t>> phases_us;
};

/// One running virtual machine. Made by a Hypervisor.
///
/// Owns: the domain, its helper processes and sockets. `stop` must have been awaited before the
/// destructor, which otherwise kills what it can without waiting.
/// Thread: the loop's only.
class VirtualMachine {
  public:
    VirtualMachine() = default;
    VirtualMachine(const VirtualMachine&) = delete;
    VirtualMachine& operator=(const VirtualMachine&) = delete;
    virtual ~VirtualMachine() = default;

    /// QEMU's pid.
    virtual pid_t pid() const noexcept = 0;

    /// The servers of the two shares; their mount namespaces are the shares'.
    virtual storage::ShareServers share_servers() const noexcept = 0;

    /// Until the guest said hello. Once.
    /// Throws: Error (deadline_exceeded, or unavailable if the machine died first) that carries its
    /// last words.
    virtual Awaitable<AgentHello> wait_hello(Deadline deadline) = 0;

    /// Opens a connection to a vsock port of the guest. Only after hello: dialling before somebody
    /// listens can hang vhost-device-vsock for good.
    /// Throws: Error (unavailable, deadline_exceeded). Cancels: the attempt.
    virtual Awaitable<StreamSocket> dial(std::uint32_t port, Deadline deadline) = 0;

    /// Gives the running guest a device, in one of `VmSpec::hotplug_slots` or the port that
    /// it names.
    /// Throws: Error (already_exists: the name is in use; deadline_exceeded). Cancels: it may still
    /// come.
    virtual Awaitable<> attach(Device device, Deadline deadline) = 0;

    /// Takes a device away, and waits until the guest has let go of it and nothing of the machine
    /// has it open.
    /// Throws: Error (not_found; deadline_exceeded: the guest holds on to it). Cancels: it may
    /// still go.
    virtual Awaitable<> detach(std::string name, Deadline deadline) = 0;

    /// Until the machine is gone, for whatever reason. Any number of waiters.
    virtual Awaitable<> wait_gone() = 0;

    /// What its console and QEMU said last, as part of one line of a log or an error: at most some
    /// 1200 bytes.
    virtual std::string console_tail() const = 0;

    /// Destroys the machine and everything that belongs to it; returns when that is done, whoever
    /// else has asked for it. Bounded (some 9 s), does not throw: what could not be undone is
    /// logged and left to `undo_leftovers`. The caller keeps the machine until then.
    virtual Awaitable<> stop() = 0;

    virtual std::vector<Phase> phases() const = 0;
};

/// Makes virtual machines. LibvirtHypervisor (host/vm/libvirt/) is the real one.
class Hypervisor {
  public:
    Hypervisor() = default;
    Hypervisor(const Hypervisor&) = delete;
    Hypervisor& operator=(const Hypervisor&) = delete;
    virtual ~Hypervisor() = default;

    /// Starts a machine; returns when QEMU runs, before the guest has booted. On failure or when
    /// cancelled nothing is left behind.
    /// Throws: Error that names what is missing on the host and the remedy.
    virtual Awaitable<std::unique_ptr<VirtualMachine>> start(VmSpec spec, Deadline deadline) = 0;
};

} // namespace cppvm::vm
