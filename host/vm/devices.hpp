#pragma once

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
