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

using Device = std::variant<Disk, Nic>;

inline const std::string& name_of(const Device& device) {
    return std::visit([](const auto& one) -> const std::string& { return one.name; }, device);
}

} // namespace cppvm::vm
