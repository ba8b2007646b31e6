#include "guest-agent/setup/device_nodes.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "guest-agent/setup/mount_api.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace cppvm::guest {

namespace {

constexpr std::size_t max_uevent = 64UL * 1024;

std::string sysfs_path(const NodeSpec& node) {
    return std::string(S_ISBLK(node.mode) ? "/sys/dev/block/" : "/sys/dev/char/") +
           std::to_string(major(node.number)) + ":" + std::to_string(minor(node.number));
}

/// The name below /dev that the kernel gave the device of a number (devtmpfs); empty if there is
/// none.
std::string name_of(const NodeSpec& node) {
    std::string text;
    try {
        text = read_file(sysfs_path(node) + "/uevent", max_uevent);
    } catch (const Error&) {
        return {};
    }
    constexpr std::string_view key = "DEVNAME=";
    const std::size_t at = text.find(key);
    if (at == std::string::npos) {
        return {};
    }
    const std::size_t begin = at + key.size();
    return text.substr(begin, text.find('\n', begin) - begin);
}

UniqueFd clone_agents_node(const NodeSpec& node, const std::string& name) {
    const std::string path = "/dev/" + name_of(node);
    const UniqueFd found(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat status{};
    if (!found || ::fstat(found.get(), &status) != 0 || status.st_rdev != node.number ||
        (status.st_mode & S_IFMT) != (node.mode & S_IFMT)) {
        throw Error(
            Code::permission_denied,
            "create device " + name +
                ": not permitted in a user namespace, and the guest has no "
                "such device to bind"
        );
    }
    return clone_mount(found.get(), "", false, name);
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
    attach_mount(tmpfs.get(), root_, "device nodes");
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
        if (errno == EPERM) {
            return clone_agents_node(node, name);
        }
        throw_errno("create device", name);
    }
    if (::fchownat(tmpfs_.get(), entry.c_str(), node.uid, node.gid, 0) != 0) {
        throw_errno("set owner of device", name);
    }
    return clone_mount(tmpfs_.get(), entry.c_str(), false, name);
}

} // namespace cppvm::guest
