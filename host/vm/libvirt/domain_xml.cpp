#include "host/vm/libvirt/domain_xml.hpp"

#include "common/wire/ports.hpp"
#include "host/config/firmware.hpp"
#include "host/vm/libvirt/device_xml.hpp"
#include "host/vm/libvirt/xml.hpp"

#include <pugixml.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <unistd.h>
#include <vector>

namespace cppvm::vm {

using namespace xml;

namespace {

constexpr const char* qemu_namespace = "http://libvirt.org/schemas/domain/qemu/1.0";

void add_memory(pugi::xml_node domain, const VmSpec& machine) {
    auto memory = set(add(domain, "memory"), "unit", "MiB");
    memory.text().set(machine.memory_mib);
    // virtiofsd and vhost-user devices work in the guest's memory, so it must be shareable.
    auto backing = add(domain, "memoryBacking");
    if (machine.huge_page_mib != 0) {
        auto page = add(add(backing, "hugepages"), "page");
        set(set(page, "size", std::to_string(machine.huge_page_mib)), "unit", "MiB");
    }
    set(add(backing, "source"), "type", "memfd");
    set(add(backing, "access"), "mode", "shared");
}

void add_boot(pugi::xml_node domain, const DomainSpec& spec) {
    auto os = add(domain, "os");
    auto type = set(set(add(os, "type"), "arch", "x86_64"), "machine", "q35");
    type.text().set("hvm");
    add_text(os, "kernel", spec.machine.kernel);
    add_text(os, "initrd", spec.machine.initramfs);
    add_text(os, "cmdline", spec.command_line);
}

void add_emulated_processor(pugi::xml_node domain) {
    auto cpu = set(add(domain, "cpu"), "mode", "maximum");
    // They say that copying byte by byte is quick, which it is not where each byte is emulated.
    for (const char* feature : {"erms", "fsrm"}) {
        set(set(add(cpu, "feature"), "policy", "disable"), "name", feature);
    }
}

void add_processor(pugi::xml_node domain, bool emulation) {
    auto features = add(domain, "features");
    add(features, "acpi");
    add(features, "apic");
    set(add(features, "vmport"), "state", "off");
    if (emulation) {
        add_emulated_processor(domain);
    } else {
        set(add(domain, "cpu"), "mode", "host-passthrough");
    }
    auto clock = set(add(domain, "clock"), "offset", "utc");
    set(set(add(clock, "timer"), "name", "hpet"), "present", "no");
    if (!emulation) {
        set(set(add(clock, "timer"), "name", "kvmclock"), "present", "yes");
    }
    // Whatever ends the guest, a reboot and a panic (panic=-1) too, ends the machine.
    add_text(domain, "on_poweroff", "destroy");
    add_text(domain, "on_reboot", "destroy");
    add_text(domain, "on_crash", "destroy");
}

// QEMU's emulator leaves out the memory barriers of a guest that can only ever have one processor,
// so that now and then a device is not woken for what is in its queue: a second one, which never
// comes (docs/adr/0025-memory-barriers-of-an-emulated-guest.md).
void add_processor_count(pugi::xml_node domain, const DomainSpec& spec) {
    const unsigned count = spec.machine.vcpus;
    auto processors = add(domain, "vcpu");
    if (spec.emulation && count == 1) {
        set(processors, "current", "1").text().set(2);
    } else {
        processors.text().set(count);
    }
}

// On the root bus: libvirt would make a PCI bridge for each device, which costs the guest's kernel
// 5% of its boot. `slot`: q35 has devices of its own at 0x00 and 0x1f.
pugi::xml_node put_on_root_bus(pugi::xml_node device, const char* slot, unsigned function = 0) {
    auto address = set(set(add(device, "address"), "type", "pci"), "domain", "0x0000");
    set(set(address, "bus", "0x00"), "slot", slot);
    return set(address, "function", "0x" + std::to_string(function));
}

void add_share(
    pugi::xml_node devices, const std::filesystem::path& socket, const char* tag, const char* slot
) {
    auto filesystem = set(add(devices, "filesystem"), "type", "mount");
    set(filesystem, "accessmode", "passthrough");
    set(add(filesystem, "driver"), "type", "virtiofs");
    set(add(filesystem, "source"), "socket", socket);
    set(add(filesystem, "target"), "dir", tag);
    put_on_root_bus(filesystem, slot);
}

// It is never inflated: what the guest frees it reports, and QEMU gives it back to the host
// (https://docs.kernel.org/mm/free_page_reporting.html).
void add_balloon(pugi::xml_node devices) {
    auto balloon = set(add(devices, "memballoon"), "model", "virtio");
    set(balloon, "freePageReporting", "on");
    put_on_root_bus(balloon, "0x04");
}

pugi::xml_node add_port(pugi::xml_node devices, std::size_t index) {
    auto port = set(set(add(devices, "controller"), "type", "pci"), "model", "pcie-root-port");
    return set(port, "index", std::to_string(index));
}

// Devices that come later, or may go, sit behind ports of q35's, one each; libvirt finds a free
// one.
void add_ports(pugi::xml_node devices, std::size_t count) {
    for (std::size_t i = 1; i <= count; ++i) {
        add_port(devices, i);
    }
}

// Those of the host's PCI devices come after them, where libvirt, which takes the first that is
// free, never puts another device, and in a place of their own, by which the guest knows them.
void add_pci_ports(pugi::xml_node devices, const VmSpec& machine) {
    for (unsigned port = 0; port < machine.pci_ports; ++port) {
        auto address = put_on_root_bus(
            add_port(devices, bus_of_pci_port(machine, port)),
            (std::string("0x") + pci_ports_slot).c_str(),
            port
        );
        if (port == 0) {
            set(address, "multifunction", "on");
        }
    }
}

void add_devices(pugi::xml_node domain, const DomainSpec& spec) {
    auto devices = add(domain, "devices");
    add_ports(devices, spec.machine.nics.size() + spec.machine.hotplug_slots);
    add_pci_ports(devices, spec.machine);
    add_text(devices, "emulator", spec.emulator);
    set(set(add(devices, "controller"), "type", "usb"), "model", "none");
    add_balloon(devices);
    auto serial = set(add(devices, "serial"), "type", "unix");
    set(set(add(serial, "source"), "mode", "connect"), "path", spec.console_socket);
    set(set(add(serial, "target"), "type", "isa-serial"), "port", "0");
    add_share(devices, spec.roots_socket, wire::roots_tag, "0x02");
    add_share(devices, spec.volumes_socket, wire::volumes_tag, "0x05");
    for (const Nic& nic : spec.machine.nics) {
        add_nic(devices, nic);
    }
    if (!spec.vsock_socket) {
        auto vsock = set(add(devices, "vsock"), "model", "virtio");
        set(add(vsock, "cid"), "auto", "yes");
        put_on_root_bus(vsock, "0x03");
    }
}

// QEMU's own option syntax: a comma ends a value unless doubled.
std::string option_value(const std::string& text) {
    std::string escaped;
    for (const char c : text) {
        escaped.append(c == ',' ? 2 : 1, c);
    }
    return escaped;
}

// What libvirt has no words for.
void add_command_line(pugi::xml_node domain, const DomainSpec& spec) {
    // An interface that reports its link has none when Linux meets it, and Linux takes note of the
    // link that comes a moment later after a second (linkwatch): so long would a start take. Here
    // it is always up, as it is for a veth whose far end may go down.
    std::vector<std::string> arguments = {"-global", "virtio-net-device.status=off"};
    if (spec.qboot) {
        // Its AppArmor helper refuses a <loader> below /usr/share; QEMU itself may read it.
        arguments.insert(arguments.end(), {"-bios", config::qboot_name});
    }
    if (spec.vsock_socket) {
        arguments.insert(
            arguments.end(),
            {"-chardev",
             "socket,id=cppvm-vsock,path=" + option_value(*spec.vsock_socket),
             // libvirt does not know of it, so in a slot that libvirt, counting up, does not come
             // to.
             "-device",
             "vhost-user-vsock-pci,id=cppvm-vsock0,chardev=cppvm-vsock,bus=pcie.0,addr=0x10"}
        );
    }
    if (spec.user_network_socket) {
        arguments.insert(
            arguments.end(),
            {"-netdev",
             "stream,id=cppvm-user,server=off,addr.type=unix,addr.path=" +
                 option_value(*spec.user_network_socket),
             "-device",
             "virtio-net-pci,id=cppvm-user0,netdev=cppvm-user,romfile=,mac=" +
                 spec.machine.user_nic->mac + ",bus=pcie.0,addr=0x11"}
        );
    }
    auto command_line = add(domain, "qemu:commandline");
    for (const auto& argument : arguments) {
        set(add(command_line, "qemu:arg"), "value", argument);
    }
}

// libvirt asks QEMU for each of some 400 properties of the processor, one at a time, to learn which
// features the guest got: most of the time that a start takes. Of a QEMU without this capability it
// reads the same from two properties (docs/adr/0009-what-a-start-asks-of-libvirt.md).
void ask_for_features_at_once(pugi::xml_node domain) {
    set(add(add(domain, "qemu:capabilities"), "qemu:del"), "capability", "cpu-unavailable-features"
    );
}

} // namespace

unsigned bus_of_pci_port(const VmSpec& machine, unsigned port) noexcept {
    return static_cast<unsigned>(machine.nics.size()) + machine.hotplug_slots + 1 + port;
}

std::string to_domain_xml(const DomainSpec& spec) {
    pugi::xml_document document;
    auto domain = set(document.append_child("domain"), "type", spec.emulation ? "qemu" : "kvm");
    set(domain, "xmlns:qemu", qemu_namespace);
    add_text(domain, "name", spec.machine.name);
    add_text(domain, "uuid", spec.machine.uuid);
    if (!spec.machine.title.empty()) {
        add_text(domain, "title", spec.machine.title);
    }
    add_text(domain, "description", "Virtual machine of a container sandbox, made by cppvm");
    add_memory(domain, spec.machine);
    add_processor_count(domain, spec);
    add_boot(domain, spec);
    add_processor(domain, spec.emulation);
    add_devices(domain, spec);
    add_command_line(domain, spec);
    ask_for_features_at_once(domain);
    return to_text(document);
}

namespace {

/// What a container sees where nobody has set another name: with other runtimes it is the host's,
/// too.
std::string host_name() {
    std::array<char, 65> name{};
    const bool known = ::gethostname(name.data(), name.size() - 1) == 0;
    const std::string_view text = name.data();
    const bool plain = std::all_of(text.begin(), text.end(), [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '.' || c == '-';
    });
    return known && plain && !text.empty() ? std::string(text) : "localhost";
}

} // namespace

std::string kernel_command_line(const VmSpec& machine, std::uint32_t boot_port) {
    // quiet: each console line costs a millisecond. panic=-1: a panic reboots at once, which ends
    // the machine. cryptomgr.notests: the distribution's kernel tests its ciphers at each boot,
    // which is a tenth of the boot. 8250.nr_uarts: there is one serial port, do not look for more.
    // noreplace-smp: a kernel that finds one processor rewrites itself in thousands of places,
    // which is another twentieth, and does it again when one is added. no_timer_check: it looks
    // whether the timer ticks ten times in time, which an emulated one on a busy host does not, and
    // panics; under KVM it does not look. printk.devkmsg: what containers write to /dev/kmsg is not
    // the kernel's word.
    std::string line = "console=ttyS0 quiet panic=-1 cryptomgr.notests 8250.nr_uarts=1 "
                       "noreplace-smp no_timer_check printk.devkmsg=off hostname=";
    line.append(host_name()).append(" ");
    line.append(wire::boot_port_key).append("=").append(std::to_string(boot_port));
    if (!machine.command_line.empty()) {
        line.append(" ").append(machine.command_line);
    }
    return line;
}

} // namespace cppvm::vm
