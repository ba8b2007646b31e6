#pragma once

#include "host/vm/devices.hpp"

#include <pugixml.hpp>

#include <filesystem>
#include <string>

namespace cppvm::vm {

/// Devices as libvirt wants them, for a domain that runs. The alias, by which one goes again,
/// follows from its name. Pure.
std::string to_nic_xml(const Nic& nic);
/// `block_device`: a node of the disk's that QEMU can open. `index`: below 26, and that of no other
/// device of the domain.
std::string
to_disk_xml(const Disk& disk, const std::filesystem::path& block_device, unsigned index);
/// `bus`: of its port, in the domain's XML. Throws: Error (invalid_argument) for an address that is
/// none.
std::string to_pci_device_xml(const PciDevice& device, unsigned bus);
/// As much of a device as is needed for it to go.
std::string to_alias_xml(const std::string& device_name);

/// A NIC as a part of a domain's devices.
void add_nic(pugi::xml_node devices, const Nic& nic);

} // namespace cppvm::vm
