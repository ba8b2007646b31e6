#include "host/vm/libvirt/device_xml.hpp"

#include "host/vm/libvirt/xml.hpp"

namespace cppvm::vm {

using namespace xml;

namespace {

// libvirt leaves names that begin like this to its users.
std::string alias_of(const std::string& device_name) {
    return "ua-" + device_name;
}

void add_device(pugi::xml_node parent, const Disk& disk, unsigned index) {
    auto node = set(set(add(parent, "disk"), "type", "file"), "device", "disk");
    set(set(add(node, "driver"), "name", "qemu"), "type", "raw");
    set(add(node, "source"), "file", disk.file);
    // What libvirt calls it; the guest, which counts for itself, knows it by its serial.
    const std::string target = std::string("vd") + static_cast<char>('a' + index);
    set(set(add(node, "target"), "dev", target), "bus", "virtio");
    if (disk.read_only) {
        add(node, "readonly");
    }
    add_text(node, "serial", disk.name);
    set(add(node, "alias"), "name", alias_of(disk.name));
}

void add_device(pugi::xml_node parent, const Nic& nic, unsigned /*index*/) {
    add_nic(parent, nic);
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

std::string to_device_xml(const Device& device, unsigned index) {
    pugi::xml_document document;
    std::visit([&](const auto& one) { add_device(document.root(), one, index); }, device);
    return to_text(document);
}

std::string to_alias_xml(const std::string& device_name) {
    pugi::xml_document document;
    set(add(add(document.root(), "device"), "alias"), "name", alias_of(device_name));
    return to_text(document);
}

} // namespace cppvm::vm
