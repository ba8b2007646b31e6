#include "host/storage/container_view.hpp"

#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/os/file.hpp"
#include "host/storage/share_namespace.hpp"

#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cppvm::storage {

namespace {

UniqueFd open_in_root(int root, const std::filesystem::path& path) {
    return open_resolved(root, path, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

/// The mount point, made if it is missing. Empty where that cannot be.
UniqueFd make_mount_point(int root, const std::filesystem::path& destination, bool is_directory) {
    UniqueFd fd = open_in_root(root, "/");
    std::filesystem::path reached = "/";
    for (auto part = destination.begin(); part != destination.end(); ++part) {
        if (*part == "/" || part->empty()) {
            continue;
        }
        const UniqueFd parent = std::move(fd);
        reached /= *part;
        fd = open_in_root(root, reached);
        if (fd || !parent || errno != ENOENT) {
            continue;
        }
        const bool last = std::next(part) == destination.end();
        const mode_t type = last && !is_directory ? S_IFREG : S_IFDIR;
        const int made = type == S_IFREG ? ::mknodat(parent.get(), part->c_str(), S_IFREG | 0644, 0)
                                         : ::mkdirat(parent.get(), part->c_str(), 0755);
        if (made != 0) {
            return {};
        }
        fd = open_in_root(root, reached);
    }
    return fd;
}

void place(int root, const ContainerView::Volume& volume, DetachedMount& mount) {
    struct stat source{};
    struct stat target{};
    if (::fstat(mount.fd(), &source) != 0) {
        return;
    }
    const UniqueFd point = make_mount_point(root, volume.destination, S_ISDIR(source.st_mode));
    if (!point || ::fstat(point.get(), &target) != 0 ||
        S_ISDIR(source.st_mode) != S_ISDIR(target.st_mode)) {
        return;
    }
    if (volume.read_only) {
        mount.set_attributes(MOUNT_ATTR_RDONLY, 0, 0, true);
    }
    mount.attach_at(point.get(), volume.destination.native());
}

/// The mount becomes the root of a namespace in which there is nothing else.
void make_root(DetachedMount& root) {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
        throw_errno("make a mount namespace for", "the container's files");
    }
    root.attach("/");
    // The old root then lies below the new one at the same place (pivot_root(2), NOTES).
    if (::fchdir(root.fd()) != 0 || ::syscall(SYS_pivot_root, ".", ".") != 0 ||
        ::umount2(".", MNT_DETACH) != 0 || ::chdir("/") != 0) {
        throw_errno("change to", "the container's root");
    }
}

} // namespace

void show_in_child(ParentLink& parent, const ContainerView& view, ShareNamespaces namespaces) {
    DetachedMount root = ShareNamespace(namespaces.roots).clone(view.rootfs);
    std::vector<DetachedMount> volumes;
    {
        ShareNamespace shared(namespaces.volumes);
        for (const auto& volume : view.volumes) {
            volumes.push_back(shared.clone(volume.name));
        }
    }
    // Links on the way to a volume are followed, within this root.
    root.set_attributes(0, MOUNT_ATTR_NOSYMFOLLOW, 0, true);
    make_root(root);
    for (std::size_t i = 0; i < volumes.size(); ++i) {
        place(root.fd(), view.volumes[i], volumes[i]);
    }
    root.set_attributes(MOUNT_ATTR_NOSYMFOLLOW, 0, 0, true);
    parent.send("shown");
    parent.receive();
}

} // namespace cppvm::storage
