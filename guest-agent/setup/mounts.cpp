#include "guest-agent/setup/mounts.hpp"

#include "common/base/error.hpp"
#include "common/base/number.hpp"
#include "common/base/take_part.hpp"
#include "common/wire/ports.hpp"
#include "guest-agent/setup/copy_tree.hpp"
#include "guest-agent/setup/file_systems.hpp"
#include "guest-agent/setup/mount_api.hpp"
#include "guest-agent/setup/mount_options.hpp"
#include "guest-agent/setup/root_walk.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

namespace cppvm::guest {

namespace {

/// Mounting over a file of /proc is how an image would redirect what the agent or other programs
/// write there, and so is another file system in the place of /proc itself (CVE-2025-52881). What
/// lxcfs and the like replace on purpose is harmless.
void refuse_proc_target(int target, const oci::Mount& mount) {
    if (mount.type == "proc") {
        return;
    }
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
    const bool on_proc = clean_path(mount.destination) == "/proc";
    if (on_proc ||
        (file_system.f_type == PROC_SUPER_MAGIC &&
         std::find(harmless.begin(), harmless.end(), mount.destination) == harmless.end())) {
        throw Error(
            Code::invalid_argument,
            "mount " + mount.destination +
                (on_proc ? ": is not of type proc" : ": the target is inside of procfs")
        );
    }
}

/// The source is the device's number, as the host sends it ("1:3").
UniqueFd make_device_mount(const MountContext& context, const oci::Mount& mount) {
    std::string_view minor_part = mount.source;
    const auto major_number = to_number<unsigned>(take_part(minor_part, ':'));
    const auto minor_number = to_number<unsigned>(minor_part);
    const dev_t number = ::makedev(major_number.value_or(0), minor_number.value_or(0));
    if (!major_number || !minor_number || !has_character_device(number)) {
        throw Error(
            Code::failed_precondition,
            "bind mount " + mount.destination + ": the guest has no character device " +
                mount.source.substr(0, 32)
        );
    }
    return context.sources.make_node({S_IFCHR | 0666, number, 0, 0}, mount.destination);
}

/// A tmpfs over a directory of the image has that directory's mode, unless the spec says another,
/// and with "tmpcopyup" its content.
UniqueFd make_tmpfs(int root, const oci::Mount& mount, const MountOptions& options) {
    const std::string& name = mount.destination;
    std::vector<std::string> data = options.data;
    const UniqueFd original = resolve_in_root(root, name);
    struct stat status{};
    if (original) {
        if (::fstat(original.get(), &status) != 0) {
            throw_errno("stat", name);
        }
        std::array<char, 32> mode{};
        std::snprintf(mode.data(), mode.size(), "mode=%04o", status.st_mode & 07777U);
        data.insert(data.begin(), mode.data());
    }
    const bool copy = options.copy_up && S_ISDIR(status.st_mode);
    const std::uint64_t read_only = copy ? options.set & MOUNT_ATTR_RDONLY : 0;
    UniqueFd tmpfs = make_mount("tmpfs", "tmpfs", data, options.set & ~read_only, name);
    if (copy) {
        copy_tree(original.get(), tmpfs.get(), name);
        set_mount_attributes(tmpfs.get(), read_only, 0, false, name);
    }
    return tmpfs;
}

UniqueFd make_detached(
    const MountContext& context,
    std::size_t index,
    const oci::Mount& mount,
    const MountOptions& options
) {
    UniqueFd detached;
    if (mount.type == wire::device_mount_type) {
        detached = make_device_mount(context, mount);
    } else if (options.bind || mount.type == "bind") {
        detached = context.sources.clone_source(index);
    } else if (mount.type == "tmpfs") {
        return make_tmpfs(context.root, mount, options);
    } else if (is_of_the_machine(mount.type, context.namespaces)) {
        return context.sources.make_file_system(index);
    } else {
        return make_file_system(mount, options);
    }
    set_mount_attributes(detached.get(), options.set, options.clear, false, mount.destination);
    return detached;
}

/// What a link of the image in the place of /proc or /sys leads to could be moved away, by another
/// container that shares it, before paths below are masked (CVE-2019-19921). Empty: the socket that
/// was to be mounted over is gone, and that is all right.
UniqueFd make_target(int root, const oci::Mount& mount, NodeKind kind) {
    if (mount.type == wire::socket_mount_type) {
        return resolve_in_root(root, mount.destination);
    }
    if (mount.type == "proc" || mount.type == "sysfs") {
        return make_plain_in_root(root, mount.destination, kind);
    }
    return make_in_root(root, mount.destination, kind);
}

} // namespace

void mount_entry(const MountContext& context, std::size_t index) {
    const oci::Mount& mount = context.spec.mounts[index];
    const MountOptions options = parse_mount_options(mount.options);
    const std::string& name = mount.destination;
    const UniqueFd detached = make_detached(context, index, mount, options);
    set_mount_attributes(
        detached.get(), options.recursive_set, options.recursive_clear, true, name
    );
    const NodeKind kind = kind_of(detached.get(), name);
    const UniqueFd target = make_target(context.root, mount, kind);
    if (!target) {
        return;
    }
    refuse_proc_target(target.get(), mount);
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
        const bool dev = clean_path(mount.destination) == "/dev";
        return dev && (mount.type == "bind" || parse_mount_options(mount.options).bind);
    });
}

} // namespace cppvm::guest
