#pragma once

#include "common/async/event.hpp"
#include "common/async/task_group.hpp"
#include "common/log/logger.hpp"
#include "host/config/config.hpp"
#include "host/network/guest_ports.hpp"
#include "host/network/host_network.hpp"
#include "host/network/namespace_spec.hpp"
#include "host/network/pod_network.hpp"
#include "host/sandbox/agent_handle.hpp"
#include "host/vm/virtual_machine.hpp"
#include "proto/cppvm/agent.pb.h"

#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace cppvm::sandbox {

/// Keeps the guest's network at that of the pod's network namespace on the host.
///
/// Order of calls: open; boot_nics; join_boot_nics once the machine runs; then sync and keep.
/// Thread: the loop's only.
class NetworkKeeper {
  public:
    /// `tap_prefix`: as in network::PodNetwork.
    NetworkKeeper(
        const asio::any_io_executor& executor,
        Logger logger,
        std::string tap_prefix,
        const config::Config& config
    );

    /// Opens the namespace, which it knows from now on; `queues` are those of each NIC. Does not
    /// throw, except when cancelled: whoever waits for it hears why there is none.
    Awaitable<> open(network::NamespaceSpec spec, unsigned queues);

    /// Nobody need wait any longer: there will be no machine.
    void give_up(std::exception_ptr reason) noexcept;

    /// The namespace, for stand-ins; borrowed. Throws: why there is none.
    Awaitable<int> descriptor();

    /// The NICs that the machine is to boot with. Throws: why there is no namespace; Error naming
    /// an interface that no machine can have.
    Awaitable<std::vector<vm::Nic>> boot_nics();

    /// For a pod that asks for the host's network. Throws: Error where that is refused.
    std::optional<vm::UserNic> user_nic();

    /// How many more it may get while it runs.
    unsigned later_nics() const noexcept;

    /// Throws: Error naming the interface.
    void join_boot_nics(const vm::VirtualMachine& machine, const std::vector<vm::Nic>& nics);

    /// Brings the machine and its guest to what the namespace is now; at once where nothing has
    /// changed. Calls beside each other wait for each other.
    /// Throws: Error. Cancels: some of it may be done; the next call does the rest.
    Awaitable<> sync(vm::VirtualMachine& machine, AgentHandle agent, Deadline deadline);

    /// Does so at each change, until it is cancelled. A failure is logged, and tried again.
    Awaitable<> keep(vm::VirtualMachine& machine, AgentHandle agent);

    /// The TCP ports that somebody listens on in the guest, by its own word.
    void set_listening(const agent::v2::Event::Listening& listening);

    /// Makes name servers that a resolv.conf on the host names at a loopback address, where they
    /// listen on the host alone, reachable at that address in the guest. What cannot be is logged.
    /// Empty: there is none. Cancels: it may be done.
    Awaitable<> relay_names(AgentHandle agent, std::filesystem::path resolv_conf);

    /// Gives the namespace up. Idempotent; must be awaited before the destructor, after `keep` has
    /// ended.
    Awaitable<> stop();

  private:
    Awaitable<> do_open(unsigned queues);
    Awaitable<> do_sync(vm::VirtualMachine& machine, const AgentHandle& agent, Deadline deadline);
    std::string giving(const vm::Nic& nic) const; ///< for errors
    /// Throws: Error naming the interface.
    void require_taps(const vm::Nic& nic) const;
    Awaitable<> attach(vm::VirtualMachine& machine, vm::Nic nic, Deadline deadline);
    void serve_ports(const AgentHandle& agent);
    bool has_network() const noexcept;
    Awaitable<> keep_names(AgentHandle agent, asio::ip::address server);
    int opened_namespace() const noexcept;
    Awaitable<> send_state(const AgentHandle& agent, Deadline deadline);

    asio::any_io_executor executor_;
    Logger logger_;
    network::NamespaceSpec spec_;
    std::string tap_prefix_;
    const config::Config& config_;
    std::optional<network::HostNetwork> host_network_; ///< where the pod has the host's own
    Event opened_;                                     ///< one of the following is set
    UniqueFd of_the_host_;                             ///< where the pod has the host's own
    std::unique_ptr<network::PodNetwork> network_;
    std::exception_ptr failure_;
    network::State sent_; ///< what the guest has
    std::set<network::ListeningPort> listening_;
    std::optional<network::GuestPorts> ports_;
    bool syncing_ = false;
    Event sync_ended_;
    std::set<asio::ip::address> name_servers_; ///< that are relayed
    TaskGroup relays_;
};

} // namespace cppvm::sandbox
