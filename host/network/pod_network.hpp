#pragma once

#include "common/async/asio.hpp"
#include "common/base/unique_fd.hpp"
#include "common/network/change_watch.hpp"
#include "common/network/state.hpp"
#include "host/network/namespace_spec.hpp"
#include "host/vm/devices.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace cppvm::network {

/// A network namespace of the host whose interfaces a virtual machine has: each is joined to a tap
/// of the machine in the namespace, so that what arrives at one leaves at the other, and the host's
/// own stack sees nothing of it.
///
/// Owns: the namespace's descriptor, and what it adds to the interfaces (a qdisc and a filter
/// each). The taps are the machine's and go with it.
/// Thread: the loop's only. All but `wait_change` are system calls that do not wait.
class PodNetwork {
  public:
    /// `tap_prefix`: at most 11 bytes; a tap's name is that and a number. `queues`: of each NIC.
    PodNetwork(
        const asio::any_io_executor& executor,
        UniqueFd network_namespace,
        std::string tap_prefix,
        unsigned queues
    );
    PodNetwork(const PodNetwork&) = delete;
    PodNetwork& operator=(const PodNetwork&) = delete;
    ~PodNetwork(); ///< as `release`

    int descriptor() const noexcept { return namespace_.get(); }

    /// What is to be changed in the machine so that it has what the namespace has.
    struct Changes {
        std::vector<vm::Nic> come;
        std::vector<std::string> gone; ///< names of NICs

        bool empty() const noexcept { return come.empty() && gone.empty(); }
    };

    /// Looks at the namespace. Throws: Error naming an interface that no machine can have.
    Changes changes();

    /// The interface that `nic` is to be joined to, by the name that it was found under.
    const std::string& interface_of(const vm::Nic& nic) const;

    /// The machine has `nic` now: joins its tap to the interface. `machine`: its process, in whose
    /// network namespace libvirt has made the tap, which need not be ours. Throws: Error naming the
    /// interface; then it is as if the machine did not have the NIC.
    void join(const vm::Nic& nic, pid_t machine);

    /// The machine has given `nic` up, or will not have it.
    void leave(const std::string& nic) noexcept;

    /// The namespace's state, as far as interfaces are joined. Throws: Error.
    State state();

    /// Until something has changed in the namespace. Throws: Error. Cancels: nothing is lost.
    Awaitable<> wait_change();

    /// Takes away what was added to interfaces. Idempotent. A namespace whose interfaces are gone
    /// is no failure.
    void release() noexcept;

  private:
    struct Joined {
        int index = 0; ///< of the interface; the machine may not have it yet
        MacAddress mac{};
        std::string name;           ///< of the interface, when it was found
        std::string tap;            ///< its name
        int tap_index = 0;          ///< in the namespace; 0 until it is there
        bool is_redirected = false; ///< to the tap, by us
    };

    UniqueFd namespace_;
    std::string tap_prefix_;
    unsigned queues_;
    Socket socket_; ///< in the namespace
    ChangeWatch watch_;
    std::map<std::string, Joined> joined_; ///< by NIC
    unsigned last_nic_ = 0;
};

/// Takes away what a daemon that was killed may have left in a namespace. One that is gone needs
/// nothing. Does not throw.
void remove_leftovers(const NamespaceSpec& network_namespace) noexcept;

} // namespace cppvm::network
