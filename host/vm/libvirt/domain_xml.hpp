#pragma once

#include "host/vm/devices.hpp"
#include "host/vm/virtual_machine.hpp"

#include <filesystem>
#include <optional>
#include <string>

namespace cppvm::vm {

/// What the domain's XML needs beyond the VmSpec. Plain data.
struct DomainSpec {
    VmSpec machine;
    bool emulation = false; ///< software emulation instead of KVM
    std::filesystem::path emulator;
    bool qboot = false;                   ///< instead of QEMU's own firmware
    std::filesystem::path roots_socket;   ///< of the virtiofsd for root file systems
    std::filesystem::path volumes_socket; ///< of that for volumes
    std::filesystem::path console_socket; ///< QEMU connects here with the serial console
    /// The socket of a vhost-device-vsock; nothing: the kernel's vhost-vsock.
    std::optional<std::filesystem::path> vsock_socket;
    /// The socket of a UserNetwork; nothing: the machine has no UserNic.
    std::optional<std::filesystem::path> user_network_socket;
    std::string command_line; ///< the whole one
};

/// The domain as libvirt wants it (https://libvirt.org/formatdomain.html). Pure.
std::string to_domain_xml(const DomainSpec& spec);

/// The number that the domain's XML has for the bus below a port of `machine.pci_ports`.
unsigned bus_of_pci_port(const VmSpec& machine, unsigned port) noexcept;

/// The kernel's command line: what a quick and quiet boot needs, then the machine's own parameters,
/// so that these win. `boot_port`: where the agent says hello.
std::string kernel_command_line(const VmSpec& machine, std::uint32_t boot_port);

} // namespace cppvm::vm
