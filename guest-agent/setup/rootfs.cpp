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

namespace {

NodeKind kind_of(int fd, const std::string& name) {
    struct stat status{};
    if (::fstat(fd, &status) != 0) {
        throw_errno("stat", name);
    }
    return S_ISDIR(status.st_mode) ? NodeKind::directory : NodeKind::file;
}

/// Mounting over a file of /proc is how an image would redirect what the agent or other programs
/// write there. What lxcfs and the like replace on purpose is harmless.
void refuse_proc_target(int target, const oci::Mount& mount, const std::string& type) {
    struct statfs file_system{};
    if (::fstatfs(target, &file_system) != 0) {
        throw_errno("statfs", mount.destination);
    }
    constexpr std::array<std::string_view, 10> harmless{
        "/proc/cpuinfo",
        "/proc/diskstats",
        "/proc/meminfo",
        "/proc/stat",
        "/proc/swaps",
        "/proc/uptime",
        "/proc/loadavg",
        "/proc/slabinfo",
        "/proc/net/dev",
        "/proc/sys/kernel/ns_last_pid",
    };
    if (file_system.f_type == PROC_SUPER_MAGIC && type != "proc" &&
        std::find(harmless.begin(), harmless.end(), mount.destination) == harmless.end()) {
        throw Error(
            Code::invalid_argument,
            "mount " + mount.destination + ": the target is inside of procfs"
        );
    }
}

UniqueFd make_bind(const std::string& share, const oci::Mount& mount, const MountOptions& options) {
    const UniqueFd source = open_shared(share, mount.source, "bind mount " + mount.destination);
    return clone_mount(source.get(), "", options.recursive_bind, mount.destination);
}

/// File systems whose instance does not belong to this mount alone: "ro" must not reach the others.
bool is_kernel_file_system(const std::string& type) {
    constexpr std::array<std::string_view, 6> types{
        "proc", "sysfs", "cgroup2", "mqueue", "devpts", "tmpfs"
    };
    return std::find(types.begin(), types.end(), type) != types.end();
}

UniqueFd make_file_system(const oci::Mount& mount, std::string type, const MountOptions& options) {
    std::vector<std::string> data = options.data;
    std::string source = mount.source;
    if (type == "cgroup") {
        // The guest has the unified hierarchy only, whatever the spec was written for; options of
        // the old one have no meaning there.
        type = "cgroup2";
        data.clear();
    }
    if (is_kernel_file_system(type)) {
        source = type;
    } else if ((options.set & MOUNT_ATTR_RDONLY) != 0) {
        data.emplace_back("ro"); // a read-only disk cannot be opened otherwise
    }
    return make_mount(type, source, data, options.set, mount.destination);
}

} // namespace

UniqueFd open_shared(const std::string& share, const std::string& path, const std::string& what) {
    const std::string prefix = share + "/";
    if (!path.starts_with(prefix)) {
        throw Error(
            Code::invalid_argument,
            what + ": source '" + path.substr(0, 256) + "' is not below " + share
        );
    }
    const UniqueFd directory = open_file(share, O_PATH | O_DIRECTORY);
    open_how how{};
    how.flags = O_PATH | O_CLOEXEC | O_NOFOLLOW;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
    UniqueFd fd(static_cast<int>(
        ::syscall(SYS_openat2, directory.get(), path.c_str() + prefix.size(), &how, sizeof how)
    ));
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

UniqueFd attach_rootfs(const std::string& share, const oci::Root& root) {
    // Private first: nothing that happens here may show in the agent's namespace.
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
        throw_errno("make private", "/");
    }
    const UniqueFd place = open_shared(share, root.path, "root.path");
    UniqueFd mount = clone_mount(place.get(), "", true, root.path);
    attach_mount(mount.get(), place.get(), root.path);
    return mount;
}

void mount_entry(int root, const std::string& share, const oci::Mount& mount) {
    const MountOptions options = parse_mount_options(mount.options);
    const bool bind = options.bind || mount.type == "bind";
    const UniqueFd detached =
        bind ? make_bind(share, mount, options) : make_file_system(mount, mount.type, options);
    const std::string& name = mount.destination;
    if (bind) {
        set_mount_attributes(detached.get(), options.set, options.clear, false, name);
    }
    set_mount_attributes(
        detached.get(), options.recursive_set, options.recursive_clear, true, name
    );
    const NodeKind kind = kind_of(detached.get(), name);
    const UniqueFd target = make_in_root(root, name, kind);
    refuse_proc_target(target.get(), mount, mount.type);
    if (kind_of(target.get(), name) != kind) {
        // The kernel only says "invalid argument".
        throw_errno("attach mount", name, kind == NodeKind::directory ? ENOTDIR : EISDIR);
    }
    attach_mount(detached.get(), target.get(), name);
    for (const unsigned long flags : options.propagation) {
        set_mount_propagation(detached.get(), flags, name);
    }
}

bool binds_dev(const oci::Spec& spec) {
    return std::any_of(spec.mounts.begin(), spec.mounts.end(), [](const oci::Mount& mount) {
        const bool dev = mount.destination == "/dev" || mount.destination == "/dev/";
        return dev && (mount.type == "bind" || parse_mount_options(mount.options).bind);
    });
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
