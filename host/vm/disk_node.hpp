#pragma once

#include "common/base/unique_fd.hpp"
#include "host/vm/devices.hpp"

#include <filesystem>
#include <string>
#include <sys/types.h>

namespace cppvm::vm {

/// A device node for a disk that one machine's QEMU may open, and nobody else but root, while
/// libvirt hands it over. The host's own node keeps its owner and mode. Where libvirt gives QEMU a
/// /dev of its own it makes one like it there (qemu.conf, "namespaces"), which libvirt would leave
/// to QEMU for good: its number may soon be another's.
/// Owns: the nodes, which go with it; QEMU has opened its own by then.
class DiskNode {
  public:
    /// `owner` and `group` are those that the process `qemu` runs as. Throws: Error.
    DiskNode(const std::string& domain, const Disk& disk, pid_t qemu, uid_t owner, gid_t group);
    DiskNode(const DiskNode&) = delete;
    DiskNode& operator=(const DiskNode&) = delete;
    ~DiskNode();

    const std::filesystem::path& path() const noexcept { return path_; }

  private:
    std::filesystem::path path_;
    UniqueFd qemus_directory_; ///< its /dev
};

/// Takes away the nodes that a killed owner has left. Throws: std::exception.
void remove_disk_nodes(const std::string& domain);

} // namespace cppvm::vm
