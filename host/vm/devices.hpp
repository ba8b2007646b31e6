#pragma once

#include <filesystem>
#include <string>
#include <sys/types.h>
#include <variant>

namespace cppvm::vm {

// What a machine can be given while it runs. Plain data; a device is called by a name of letters,
// digits and '-' that no other of the machine has.

/// A block device of the host, as a virtio disk. The guest finds it by its serial number, which is
/// the name: at most `max_disk_name` characters.
struct Disk {
    std::string name;
    dev_t device = 0;
    bool read_only = false;
};

/// Of a virtio disk's serial number (VIRTIO_BLK_ID_BYTES).
inline constexpr std::size_t max_disk_name = 20;

/// A PCI device of the host that vfio-pci has, for the guest's own driver. QEMU opens it by the
/// node of its IOMMU group; from then on all of the guest's memory stays where it is, for the
/// device reaches it by itself.
struct PciDevice {
    std::string name;
    std::string address;              ///< on the host: "0000:01:00.0"
    std::filesystem::path group_node; ///< "/dev/vfio/17"
    unsigned port = 0;                ///< of `VmSpec::pci_ports`, and no other device's
};

/// As many ports as a slot of a PCI bus has functions.
inline constexpr unsigned max_pci_ports = 8;

/// The slot of the root bus that has them.
inline constexpr const char* pci_ports_slot = "12";

/// What the guest calls a port; the device is the one below it.
inline std::string guest_address_of_port(unsigned port) {
    return std::string("0000:00:") + pci_ports_slot + "." + std::to_string(port);
}

/// A virtio network card on a tap of the host, which is made with it and goes with it; its user
/// may move the tap into another network namespace.
struct Nic {
    std::string name;
    std::string tap;     ///< its name, that of no other interface of the host
    std::string mac;     ///< "02:00:00:00:00:01"
    unsigned queues = 1; ///< pairs of them; one for each processor is best
};

/// A virtio network card into the host's network, without an interface there (UserNetwork).
struct UserNic {
    std::string mac;
};

using Device = std::variant<Disk, Nic, PciDevice>;

inline const std::string& name_of(const Device& device) {
    return std::visit([](const auto& one) -> const std::string& { return one.name; }, device);
}

} // namespace cppvm::vm
