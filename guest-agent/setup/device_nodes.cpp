#include "guest-agent/setup/device_nodes.hpp"

#include "common/base/error.hpp"
#include "common/os/device_text.hpp"
#include "common/os/file.hpp"
#include "guest-agent/setup/mount_api.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cppvm::guest {

namespace {

std::string sysfs_path(const NodeSpec& node) {
    return std::string(S_ISBLK(node.mode) ? "/sys/dev/block/" : "/sys/dev/char/") +
           device_text(node.number);
}

} // namespace

bool has_character_device(dev_t number) {
    return ::access(sysfs_path({S_IFCHR, number, 0, 0}).c_str(), F_OK) == 0;
}

// A node can only be bound from a mount of this namespace, so the tmpfs needs a place. On the
// container's root it is in nobody's way: what goes by the root's descriptor goes below it.
void DeviceNodes::attach_tmpfs() {
    constexpr std::uint64_t closed = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    UniqueFd tmpfs = make_mount("tmpfs", "tmpfs", {"mode=0700"}, closed, "device nodes");
    attach_mount(tmpfs.get(), place_, "device nodes");
    tmpfs_ = std::move(tmpfs);
}

DeviceNodes::~DeviceNodes() {
    // Nodes that were bound keep the file system alive, without a place.
    if (tmpfs_ && ::fchdir(tmpfs_.get()) == 0) {
        ::umount2(".", MNT_DETACH);
    }
}

UniqueFd DeviceNodes::make(const NodeSpec& node, const std::string& name) {
    if (!tmpfs_) {
        attach_tmpfs();
    }
    const std::string entry = std::to_string(count_++);
    if (::mknodat(tmpfs_.get(), entry.c_str(), node.mode, node.number) != 0) {
        throw_errno("create device", name);
    }
    if (::fchownat(tmpfs_.get(), entry.c_str(), node.uid, node.gid, 0) != 0) {
        throw_errno("set owner of device", name);
    }
    return clone_mount(tmpfs_.get(), entry.c_str(), false, name);
}

} // namespace cppvm::guest
