#pragma once

#include <filesystem>
#include <sys/types.h>

namespace cppvm::vm {

/// Lends the node of an IOMMU group to the user of one machine's QEMU while libvirt hands the group
/// over: it knows the node by its one name, and copies it, owner included, into QEMU's own /dev.
/// QEMU keeps the group by a descriptor, and libvirt takes its copy away with the device.
/// Owns: the lending; the node's owner comes back with it.
class VfioNode {
  public:
    /// Throws: Error.
    VfioNode(std::filesystem::path node, uid_t user, gid_t group);
    VfioNode(const VfioNode&) = delete;
    VfioNode& operator=(const VfioNode&) = delete;
    ~VfioNode();

  private:
    std::filesystem::path node_;
    uid_t owner_ = 0;
    gid_t owning_group_ = 0;
};

/// Gives root what a killed owner has left to that user below `directory`. Throws: std::exception.
void take_back_vfio_nodes(uid_t user, const std::filesystem::path& directory = "/dev/vfio");

} // namespace cppvm::vm
