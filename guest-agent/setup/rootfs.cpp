#include "guest-agent/setup/rootfs.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "guest-agent/setup/mount_api.hpp"
#include "guest-agent/setup/mount_options.hpp"
#include "guest-agent/setup/root_walk.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

namespace cppvm::guest {

UniqueFd open_shared(const std::string& share, const std::string& path, const std::string& what) {
    const std::string prefix = share + "/";
    if (!path.starts_with(prefix)) {
        throw Error(
            Code::invalid_argument,
            what + ": source '" + path.substr(0, 256) + "' is not below " + share
        );
    }
    const UniqueFd directory = open_file(share, O_PATH | O_DIRECTORY);
    const auto open = [&](std::uint64_t flags) {
        return open_resolved(
            directory.get(),
            path.substr(prefix.size()),
            O_PATH | O_NOFOLLOW | flags,
            RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
        );
    };
    // As a directory: without that flag O_PATH does not make the kernel mount what the host has
    // mounted there, and opens what lies below it.
    UniqueFd fd = open(O_DIRECTORY);
    if (!fd && errno == ENOTDIR) {
        fd = open(0);
    }
    if (!fd) {
        throw_errno(what + ": open", path);
    }
    // O_PATH opens a link at the end itself.
    struct stat status{};
    if (::fstat(fd.get(), &status) != 0 || S_ISLNK(status.st_mode)) {
        throw_errno(what + ": open", path, ELOOP);
    }
    return fd;
}

UniqueFd attach_rootfs(Sources& sources, const std::string& path) {
    // Private first: nothing that happens here may show in the agent's namespace.
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
        throw_errno("make private", "/");
    }
    const UniqueFd place = sources.open_root();
    UniqueFd mount = clone_mount(place.get(), "", true, path);
    attach_mount(mount.get(), place.get(), path);
    return mount;
}

void enter_root(int root) {
    // pivot_root(".", ".") stacks the old root on the new one, so that it needs no directory inside
    // (pivot_root(2), NOTES); the unmount then takes it, and all below it, out of this namespace.
    if (::fchdir(root) != 0) {
        throw_errno("enter", "rootfs");
    }
    if (::syscall(SYS_pivot_root, ".", ".") != 0) {
        throw_errno("pivot_root to", "rootfs");
    }
    if (::umount2(".", MNT_DETACH) != 0) {
        throw_errno("unmount", "old root");
    }
    if (::chdir("/") != 0) {
        throw_errno("enter", "new root");
    }
}

void protect_paths(int root, const oci::Linux& spec) {
    const UniqueFd null_device = open_file("/dev/null", O_PATH);
    for (const std::string& path : spec.readonly_paths) {
        const UniqueFd target = resolve_in_root(root, path);
        if (target) {
            const UniqueFd mount = clone_mount(target.get(), "", true, path);
            set_mount_attributes(mount.get(), MOUNT_ATTR_RDONLY, 0, true, path);
            attach_mount(mount.get(), target.get(), path);
        }
    }
    for (const std::string& path : spec.masked_paths) {
        const UniqueFd target = resolve_in_root(root, path);
        if (!target) {
            continue;
        }
        const UniqueFd cover =
            kind_of(target.get(), path) == NodeKind::directory
                ? make_mount("tmpfs", "tmpfs", {"size=4k", "nr_inodes=1"}, MOUNT_ATTR_RDONLY, path)
                : clone_mount(null_device.get(), "", false, path);
        // Read-only: its owner and mode are the agent's own device's.
        set_mount_attributes(cover.get(), MOUNT_ATTR_RDONLY, 0, false, path);
        attach_mount(cover.get(), target.get(), path);
    }
}

void finish_root(int root, const oci::Spec& spec) {
    const std::string& word = spec.linux_part.rootfs_propagation;
    if (!word.empty()) {
        for (const unsigned long flags : parse_mount_options({word}).propagation) {
            set_mount_propagation(root, flags, "/");
        }
    }
    if (spec.root.readonly) {
        set_mount_attributes(root, MOUNT_ATTR_RDONLY, 0, false, "/");
    }
}

} // namespace cppvm::guest
