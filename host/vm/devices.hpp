#pragma once

#include <filesystem>
#include <string>
#include <variant>

namespace cppvm::vm {

// What a machine can be given while it runs. Plain data; a device is called by a name of letters,
// digits and '-' that no other of the machine has.

/// A raw image or block device of the host, as a virtio disk. QEMU's user must be able to open it:
/// no owner is changed.
struct Disk {
    std::string name;
    std::filesystem::path file;
    bool read_only = false;
};

/// A virtio network card on a tap device of the host that exists already.
struct Nic {
    std::string name;
    std::string tap;
    std::string mac; ///< "02:00:00:00:00:01"
};

using Device = std::variant<Disk, Nic>;

inline const std::string& name_of(const Device& device) {
    return std::visit([](const auto& one) -> const std::string& { return one.name; }, device);
}

} // namespace cppvm::vm
