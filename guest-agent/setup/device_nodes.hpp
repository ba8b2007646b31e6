#pragma once

#include "common/base/unique_fd.hpp"

#include <string>
#include <sys/types.h>

namespace cppvm::guest {

/// What a node is and whose.
struct NodeSpec {
    mode_t mode = 0; ///< type and permissions, as of mknod(2)
    dev_t number = 0;
    uid_t uid = 0;
    gid_t gid = 0;
};

/// Whether the guest's kernel has that character device now.
bool has_character_device(dev_t number);

/// Device nodes for places where none can be made, or made ones are dead: the share, which is
/// mounted with nodev. They are made on a tmpfs that nothing else shows, one for each container, so
/// that a chmod of one inside reaches nobody else's.
/// Borrows: the place at which the container's root is attached in this mount namespace, or that
/// root itself; used before pivot_root.
class DeviceNodes {
  public:
    explicit DeviceNodes(int place) : place_(place) {}
    DeviceNodes(const DeviceNodes&) = delete;
    DeviceNodes& operator=(const DeviceNodes&) = delete;
    ~DeviceNodes();

    /// A detached mount of a node. A user namespace may make none. Throws: Error that names `name`.
    UniqueFd make(const NodeSpec& node, const std::string& name);

  private:
    void attach_tmpfs();

    int place_;
    int count_ = 0;
    UniqueFd tmpfs_;
};

} // namespace cppvm::guest
