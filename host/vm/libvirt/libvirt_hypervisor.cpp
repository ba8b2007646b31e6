#include "host/vm/libvirt/libvirt_hypervisor.hpp"

#include "common/async/with_undo.hpp"
#include "host/check/host_checks.hpp"
#include "host/vm/libvirt/libvirt_machine.hpp"

namespace cppvm::vm {

LibvirtHypervisor::LibvirtHypervisor(
    const asio::any_io_executor& executor, Logger logger, config::Config config
)
    : executor_(executor), logger_(std::move(logger)), config_(std::move(config)) {}

Awaitable<std::unique_ptr<VirtualMachine>>
LibvirtHypervisor::start(VmSpec spec, Deadline deadline) {
    config::Config config = config_;
    config.vm.kernel = spec.kernel;
    config.vm.initramfs = spec.initramfs;
    config.vm.memory_mib = spec.memory_mib;
    config.vm.huge_page_mib = spec.huge_page_mib;
    for (const check::Check& found : check::HostChecks(config).before_start()) {
        check::require(found);
    }
    auto machine = std::make_unique<LibvirtMachine>(executor_, logger_, config, std::move(spec));
    co_await with_undo(machine->start(deadline), [&machine] { return machine->stop(); });
    co_return machine;
}

} // namespace cppvm::vm
