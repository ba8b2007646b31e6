#include "guest-agent/setup/devices.hpp"

#include "common/base/error.hpp"
#include "common/oci/device_access.hpp"
#include "common/os/device_text.hpp"
#include "guest-agent/setup/device_nodes.hpp"
#include "guest-agent/setup/mount_api.hpp"
#include "guest-agent/setup/root_walk.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

namespace cppvm::guest {

namespace {

mode_t type_bits(const std::string& type) {
    if (type == "b") {
        return S_IFBLK;
    }
    return type == "p" ? S_IFIFO : S_IFCHR;
}

bool is_same_node(const struct stat& status, const NodeSpec& node) {
    return (status.st_mode & S_IFMT) == (node.mode & S_IFMT) &&
           (S_ISFIFO(node.mode) || status.st_rdev == node.number);
}

NodeSpec to_node(const oci::Device& device) {
    NodeSpec node;
    node.mode = type_bits(device.type) | (device.file_mode.value_or(0666) & 07777);
    if (!S_ISFIFO(node.mode)) {
        node.number =
            ::makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor));
    }
    node.uid = device.uid;
    node.gid = device.gid;
    return node;
}

/// The host's share is mounted with nodev, so that nodes in images are dead.
bool forbids_devices(int directory, const std::string& name) {
    struct statvfs file_system{};
    if (::fstatvfs(directory, &file_system) != 0) {
        throw_errno("statvfs", name);
    }
    return (file_system.f_flag & ST_NODEV) != 0;
}

/// What already exists: bound by a mount of the spec, or part of the image.
void require_same_node(const NodePlace& place, const NodeSpec& node, const std::string& path) {
    struct stat status{};
    const std::string name(place.name);
    if (::fstatat(place.parent.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        throw_errno("stat", path);
    }
    if (!is_same_node(status, node)) {
        throw Error(
            Code::failed_precondition,
            "create device " + path + ": the rootfs has something else of that name"
        );
    }
}

void bind_node(int root, Sources& sources, const NodeSpec& node, const std::string& path) {
    const UniqueFd mount = sources.make_node(node, path);
    const UniqueFd target = make_in_root(root, path, NodeKind::file);
    attach_mount(mount.get(), target.get(), path);
}

void make_device(int root, Sources& sources, const oci::Device& device) {
    const NodeSpec node = to_node(device);
    const NodePlace place = make_parent_in_root(root, device.path);
    if (!S_ISFIFO(node.mode) && forbids_devices(place.parent.get(), device.path)) {
        bind_node(root, sources, node, device.path);
        return;
    }
    const std::string name(place.name);
    if (::mknodat(place.parent.get(), name.c_str(), node.mode, node.number) != 0) {
        if (errno == EPERM) {
            bind_node(root, sources, node, device.path);
            return;
        }
        if (errno != EEXIST) {
            throw_errno("create device", device.path);
        }
        require_same_node(place, node, device.path);
        return;
    }
    // The mode is exact: the child runs with umask 0 until it becomes the container's program.
    if (::fchownat(place.parent.get(), name.c_str(), node.uid, node.gid, AT_SYMLINK_NOFOLLOW) !=
        0) {
        throw_errno("set owner of device", device.path);
    }
}

/// A device that somebody wants by its number; of others a node is made that may be nobody's.
void require_wanted_device(const oci::Linux& spec, const oci::Device& device) {
    const dev_t number = to_node(device).number;
    if (type_bits(device.type) == S_IFCHR &&
        oci::device_access(spec.resources.devices, "c", number).by_number &&
        !has_character_device(number)) {
        throw Error(
            Code::failed_precondition,
            "create device " + device.path + ": the guest has no character device " +
                device_text(number)
        );
    }
}

void make_link(int root, const char* path, const char* target) {
    const NodePlace place = make_parent_in_root(root, path);
    if (::symlinkat(target, place.parent.get(), std::string(place.name).c_str()) != 0 &&
        errno != EEXIST) {
        throw_errno("create link", path);
    }
}

} // namespace

void make_devices(int root, Sources& sources, const oci::Linux& spec, bool with_defaults) {
    if (with_defaults) {
        // Numbers: Documentation/admin-guide/devices.txt of the kernel.
        const std::array<oci::Device, 6> defaults{{
            {"/dev/null", "c", 1, 3, 0666, 0, 0},
            {"/dev/zero", "c", 1, 5, 0666, 0, 0},
            {"/dev/full", "c", 1, 7, 0666, 0, 0},
            {"/dev/random", "c", 1, 8, 0666, 0, 0},
            {"/dev/urandom", "c", 1, 9, 0666, 0, 0},
            {"/dev/tty", "c", 5, 0, 0666, 0, 0},
        }};
        for (const oci::Device& device : defaults) {
            const bool replaced =
                std::any_of(spec.devices.begin(), spec.devices.end(), [&](const auto& other) {
                    return other.path == device.path;
                });
            if (!replaced) {
                make_device(root, sources, device);
            }
        }
        make_link(root, "/dev/ptmx", "pts/ptmx");
        make_link(root, "/dev/fd", "/proc/self/fd");
        make_link(root, "/dev/stdin", "/proc/self/fd/0");
        make_link(root, "/dev/stdout", "/proc/self/fd/1");
        make_link(root, "/dev/stderr", "/proc/self/fd/2");
        if (::access("/proc/kcore", F_OK) == 0) {
            make_link(root, "/dev/core", "/proc/kcore");
        }
    }
    for (const oci::Device& device : spec.devices) {
        require_wanted_device(spec, device);
        // Of a privileged container the list has all devices of the host, this one too; what opens
        // it in the container must come to the container's own devpts.
        if (!with_defaults || device.path != "/dev/ptmx") {
            make_device(root, sources, device);
        }
    }
}

} // namespace cppvm::guest
