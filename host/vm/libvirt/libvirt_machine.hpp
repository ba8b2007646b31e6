#pragma once

#include "common/async/event.hpp"
#include "common/async/task_group.hpp"
#include "common/log/logger.hpp"
#include "common/os/process_id.hpp"
#include "host/config/config.hpp"
#include "host/vm/console.hpp"
#include "host/vm/libvirt/libvirt_client.hpp"
#include "host/vm/virtual_machine.hpp"
#include "host/vm/vsock/vsock.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

#include <memory>

namespace cppvm::vm {

/// One transient domain with what belongs to it: console, vsock, QEMU's pidfd.
/// Made by LibvirtHypervisor; `stop` must be awaited after a failed `start` too.
class LibvirtMachine : public VirtualMachine {
  public:
    /// Makes the sockets; nothing runs yet, but for a vhost-device-vsock. Throws: Error.
    LibvirtMachine(
        const asio::any_io_executor& executor,
        Logger logger,
        const config::Config& config,
        VmSpec spec
    );
    ~LibvirtMachine() override;

    /// Starts the domain; returns when QEMU runs. Once. Throws: Error.
    Awaitable<> start(Deadline deadline);

    pid_t pid() const noexcept override;
    storage::ShareServers share_servers() const noexcept override;
    Awaitable<AgentHello> wait_hello(Deadline deadline) override;
    Awaitable<StreamSocket> dial(std::uint32_t port, Deadline deadline) override;
    Awaitable<> attach(Device device, Deadline deadline) override;
    Awaitable<> detach(std::string name, Deadline deadline) override;
    Awaitable<> wait_gone() override;
    std::string console_tail() const override;
    Awaitable<> stop() override;
    std::vector<Phase> phases() const override;

  private:
    struct Parts;

    Awaitable<> do_stop();

    std::unique_ptr<Parts> parts_;
};

} // namespace cppvm::vm
