#include "host/vm/libvirt/device_xml.hpp"

#include "common/base/error.hpp"
#include "host/vm/libvirt/xml.hpp"

#include <array>
#include <charconv>
#include <regex>

namespace cppvm::vm {

using namespace xml;

namespace {

// libvirt leaves names that begin like this to its users.
std::string alias_of(const std::string& device_name) {
    return "ua-" + device_name;
}

struct PciAddress {
    std::string domain;
    std::string bus;
    std::string slot;
    std::string function;
};

/// "0000:01:00.0"; of the host's sysfs.
PciAddress parse_address(const std::string& text) {
    static const std::regex form("([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\\.([0-7])");
    std::smatch match;
    if (!std::regex_match(text, match, form)) {
        throw Error(Code::invalid_argument, "'" + text + "' is not the address of a PCI device");
    }
    return {match[1], match[2], match[3], match[4]};
}

std::string hex(unsigned number) {
    std::array<char, 9> text{};
    static_cast<void>(std::to_chars(text.data(), text.data() + text.size(), number, 16));
    return text.data();
}

pugi::xml_node add_address(pugi::xml_node parent, const PciAddress& address) {
    auto node = set(add(parent, "address"), "domain", "0x" + address.domain);
    set(set(node, "bus", "0x" + address.bus), "slot", "0x" + address.slot);
    return set(node, "function", "0x" + address.function);
}

} // namespace

// libvirt takes vhost-net where the host has it. Nothing boots from it.
void add_nic(pugi::xml_node parent, const Nic& nic) {
    auto node = set(add(parent, "interface"), "type", "ethernet");
    set(add(node, "mac"), "address", nic.mac);
    set(add(node, "target"), "dev", nic.tap);
    set(add(node, "model"), "type", "virtio");
    if (nic.queues > 1) {
        set(add(node, "driver"), "queues", std::to_string(nic.queues));
    }
    set(add(node, "rom"), "enabled", "no");
    set(add(node, "alias"), "name", alias_of(nic.name));
}

std::string to_nic_xml(const Nic& nic) {
    pugi::xml_document document;
    add_nic(document.root(), nic);
    return to_text(document);
}

std::string
to_disk_xml(const Disk& disk, const std::filesystem::path& block_device, unsigned index) {
    pugi::xml_document document;
    auto node = set(set(add(document.root(), "disk"), "type", "block"), "device", "disk");
    // What the guest discards is the host's again: a file under a loop device shrinks.
    auto driver = set(set(add(node, "driver"), "name", "qemu"), "type", "raw");
    set(driver, "discard", "unmap");
    set(add(node, "source"), "dev", block_device);
    // What libvirt calls it; the guest, which counts for itself, knows it by its serial.
    const std::string target = std::string("vd") + static_cast<char>('a' + index);
    set(set(add(node, "target"), "dev", target), "bus", "virtio");
    if (disk.read_only) {
        add(node, "readonly");
    }
    add_text(node, "serial", disk.name);
    set(add(node, "alias"), "name", alias_of(disk.name));
    return to_text(document);
}

// managed="no": which driver has the device is the administrator's to say.
std::string to_pci_device_xml(const PciDevice& device, unsigned bus) {
    const PciAddress source = parse_address(device.address);
    pugi::xml_document document;
    auto node = set(set(add(document.root(), "hostdev"), "mode", "subsystem"), "type", "pci");
    set(node, "managed", "no");
    set(add(node, "driver"), "name", "vfio");
    add_address(add(node, "source"), source);
    set(add(node, "alias"), "name", alias_of(device.name));
    const auto place = add_address(node, {"0000", hex(bus), "00", "0"});
    set(place, "type", "pci");
    return to_text(document);
}

std::string to_alias_xml(const std::string& device_name) {
    pugi::xml_document document;
    set(add(add(document.root(), "device"), "alias"), "name", alias_of(device_name));
    return to_text(document);
}

} // namespace cppvm::vm
