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
    std::string command_line; ///< the whole one
};

/// The domain as libvirt wants it (https://libvirt.org/formatdomain.html). Pure.
std::string to_domain_xml(const DomainSpec& spec);

/// A device as libvirt wants it, for a domain that runs. Its alias, by which it goes again, follows
/// from its name. `index`: below 26, and that of no other device of the domain. Pure.
std::string to_device_xml(const Device& device, unsigned index);
/// As much of it as is needed for it to go.
std::string to_alias_xml(const std::string& device_name);

/// The kernel's command line: what a quick and quiet boot needs, then the machine's own parameters,
/// so that these win. `boot_port`: where the agent says hello.
std::string kernel_command_line(const VmSpec& machine, std::uint32_t boot_port);

} // namespace cppvm::vm
