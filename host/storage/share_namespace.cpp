#include "host/storage/share_namespace.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/os/mount_namespace.hpp"
#include "host/storage/mountinfo.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace cppvm::storage {

namespace {

// statfs(2): not in the C library's header.
constexpr unsigned long flag_nosymfollow = 0x2000;

/// Whatever the guest makes of a name, a bug of virtiofsd or of ours does not follow a link out of
/// the share, meet a device, or run anything. The guest has its own flags, and does not notice.
constexpr std::uint64_t closed_attributes =
    MOUNT_ATTR_NOSYMFOLLOW | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;

DetachedMount enter(int name_space) {
    enter_share(name_space);
    return DetachedMount("/", false);
}

} // namespace

void enter_share(int name_space) {
    if (enter_mount_namespace(name_space) != 0) {
        throw_errno("enter", "the share");
    }
    // The namespace's root is ours now. Before virtiofsd has made it the share's, it is
    // the host's: no other mount than the share has this flag.
    struct statfs top{};
    if (::statfs("/", &top) != 0) {
        throw_errno("look at", "the share");
    }
    if ((static_cast<unsigned long>(top.f_flags) & flag_nosymfollow) == 0) {
        throw Error(
            Code::failed_precondition,
            "enter the share: it is not the root of virtiofsd's mount namespace; if containerd "
            "runs in a chroot(2), use pivot_root(2) for it"
        );
    }
}

std::string shared_name(std::uint64_t number, bool is_file) {
    return std::to_string(number) + (is_file ? "/file" : "");
}

ShareNamespace::ShareNamespace(int name_space) : writable_(enter(name_space)) {
    writable_.set_attributes(0, MOUNT_ATTR_RDONLY, 0, false);
}

void ShareNamespace::attach_directory(std::uint64_t number, DetachedMount& mount) {
    const std::string name = shared_name(number, false);
    if (::mkdirat(writable_.fd(), name.c_str(), 0700) != 0) {
        throw_errno("mkdir", "share/" + name);
    }
    mount.set_attributes(closed_attributes, 0, 0, true);
    mount.attach("/" + name);
}

void ShareNamespace::attach_file(std::uint64_t number, DetachedMount& mount) {
    const std::string directory = shared_name(number, false);
    const std::string name = shared_name(number, true);
    if (::mkdirat(writable_.fd(), directory.c_str(), 0700) != 0) {
        throw_errno("mkdir", "share/" + directory);
    }
    const UniqueFd file(
        ::openat(writable_.fd(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)
    );
    if (!file) {
        throw_errno("create", "share/" + name);
    }
    DetachedMount own("/" + directory, false);
    own.attach("/" + directory);
    mount.set_attributes(closed_attributes, 0, 0, true);
    mount.attach("/" + name);
}

void ShareNamespace::set_read_only(std::uint64_t number, bool is_file, bool read_only) {
    const std::string path = "/" + shared_name(number, is_file);
    mount_attr attributes{};
    (read_only ? attributes.attr_set : attributes.attr_clr) = MOUNT_ATTR_RDONLY;
    if (::mount_setattr(
            AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, &attributes, sizeof attributes
        ) != 0) {
        throw_errno(read_only ? "make read-only" : "make writable", "share" + path);
    }
}

std::vector<std::string> ShareNamespace::submounts(std::uint64_t number, int proc) {
    const std::string top = "/" + shared_name(number, false);
    std::vector<std::string> paths;
    for (const MountPoint& mount : mounts_below(read_mountinfo(proc), top)) {
        if (mount.path != top) {
            paths.push_back(mount.path.substr(1));
        }
    }
    std::ranges::sort(paths);
    paths.erase(std::ranges::unique(paths).begin(), paths.end()); // mounts over mounts
    return paths;
}

bool ShareNamespace::reach_submount(const std::string& path) {
    const UniqueFd root = open_file("/", O_PATH | O_DIRECTORY);
    const UniqueFd mount =
        open_resolved(root.get(), path, O_PATH | O_NOFOLLOW, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
    struct statx status{};
    return mount && ::statx(mount.get(), "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status) == 0 &&
           (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

void ShareNamespace::detach(std::uint64_t number) {
    const std::string name = shared_name(number, false);
    // Only the number's own mount, which takes all below it along: their names are the guest's.
    if (::umount2(("/" + name).c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL &&
        errno != ENOENT) {
        throw_errno("unmount", "share/" + name);
    }
    ::unlinkat(writable_.fd(), shared_name(number, true).c_str(), 0);
    if (::unlinkat(writable_.fd(), name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
        throw_errno("remove", "share/" + name);
    }
}

} // namespace cppvm::storage
