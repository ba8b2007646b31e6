#pragma once

#include "host/vm/devices.hpp"

#include <pugixml.hpp>

#include <string>

namespace cppvm::vm {

/// A device as libvirt wants it, for a domain that runs. Its alias, by which it goes again, follows
/// from its name. `index`: below 26, and that of no other device of the domain. Pure.
std::string to_device_xml(const Device& device, unsigned index);
/// As much of it as is needed for it to go.
std::string to_alias_xml(const std::string& device_name);

/// A NIC as a part of a domain's devices.
void add_nic(pugi::xml_node devices, const Nic& nic);

} // namespace cppvm::vm
