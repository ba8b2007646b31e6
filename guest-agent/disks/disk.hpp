#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace cppvm::guest {

/// One of the machine's disks. Plain data.
struct Disk {
    std::filesystem::path node; ///< "/dev/vda"
    dev_t device = 0;
};

/// The disk whose device node is at `node`; nothing if there is no block device.
std::optional<Disk> disk_at(const std::filesystem::path& node) noexcept;

/// What the host says of a container's disks. Plain data.
struct DiskRequest {
    /// A block device of the host, and the serial number of the disk that it is here.
    struct HostDevice {
        std::string serial;
        dev_t host_device = 0;
    };

    struct Root {
        std::string serial;
        std::string type; ///< of its file system
        std::vector<std::string> options;
        std::vector<std::string> layers; ///< files with an erofs, over which the disk's lie
    };

    std::vector<HostDevice> devices;
    std::optional<Root> root;
};

} // namespace cppvm::guest
