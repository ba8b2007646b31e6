#pragma once

#include "common/log/logger.hpp"
#include "host/config/config.hpp"
#include "host/vm/virtual_machine.hpp"

namespace cppvm::vm {

/// Machines as transient libvirt domains.
/// Thread: the loop's only.
class LibvirtHypervisor : public Hypervisor {
  public:
    LibvirtHypervisor(const asio::any_io_executor& executor, Logger logger, config::Config config);

    Awaitable<std::unique_ptr<VirtualMachine>> start(VmSpec spec, Deadline deadline) override;

  private:
    asio::any_io_executor executor_;
    Logger logger_;
    config::Config config_;
};

} // namespace cppvm::vm
