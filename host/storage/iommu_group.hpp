#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace cppvm::storage {

/// Where the host's kernel shows its devices; a test has directories of its own. Plain data.
struct DeviceTree {
    std::filesystem::path sys = "/sys";
    std::filesystem::path dev = "/dev";
};

/// What VFIO calls one of its character devices: "17" where it stands for IOMMU group 17. Nothing:
/// it is not VFIO's, or the host has no such device.
std::optional<std::string> vfio_name(const DeviceTree& host, dev_t number);

/// Whether a device of the host is bound to VFIO, so that there is one which a machine could get.
bool has_vfio_groups(const DeviceTree& host) noexcept;

/// The node by which VFIO gives a group away.
std::filesystem::path node_of_group(const DeviceTree& host, unsigned group);

/// Whether somebody has opened the group, of which VFIO gives out one descriptor at a time.
bool is_group_open(const DeviceTree& host, unsigned group);

/// The PCI addresses ("0000:01:00.0") of what of a group goes to a machine, sorted: all but
/// bridges, and devices without a driver, which nobody uses. An IOMMU cannot tell those of a group
/// apart, so they go together. Throws: Error (failed_precondition) that names what is in the way
/// and the remedy: no IOMMU, no such group, a device that another driver has, a group that somebody
/// has opened.
std::vector<std::string> devices_of_group(const DeviceTree& host, unsigned group);

} // namespace cppvm::storage
