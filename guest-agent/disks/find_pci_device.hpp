#pragma once

#include "common/async/asio.hpp"

#include <filesystem>
#include <string>

namespace cppvm::guest {

/// Until there is a PCI device below the port of this address, which the host gave the machine a
/// moment ago: the kernel says so once it has tried its drivers. `devices`: a test's.
/// Throws: Error (deadline_exceeded) that names the port. Cancels: nothing is lost.
Awaitable<> find_pci_device(
    std::string port, Deadline deadline, std::filesystem::path devices = "/sys/bus/pci/devices"
);

} // namespace cppvm::guest
