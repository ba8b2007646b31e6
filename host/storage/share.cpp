#include "host/storage/share.hpp"

#include "common/base/error.hpp"
#include "common/base/scope_exit.hpp"
#include "common/os/file.hpp"
#include "host/storage/detached_mount.hpp"
#include "host/storage/share_tree.hpp"
#include "host/storage/unmount.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

namespace cppvm::storage {

namespace {

const char* kind_of(mode_t mode) {
    switch (mode & S_IFMT) {
    case S_IFSOCK:
        return "socket";
    case S_IFIFO:
        return "fifo";
    case S_IFCHR:
    case S_IFBLK:
        return "device";
    default:
        return nullptr;
    }
}

} // namespace

Share::Share(const std::filesystem::path& directory, Logger logger)
    : directory_(std::filesystem::absolute(directory)), logger_(std::move(logger)) {
    undo_leftovers(directory_);
    make_directory(directory_, 0700); // as containerd's bundles: not for the host's other users
    ScopeExit undo([this] {
        ::umount2(directory_.c_str(), MNT_DETACH);
        ::rmdir(directory_.c_str());
    });
    writable_ = open_file(directory_, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    DetachedMount mount(directory_, false);
    // Private first: a group of its own instead of that of the mount around it.
    constexpr auto attributes =
        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    mount.set_attributes(attributes, 0, MS_PRIVATE, false);
    mount.attach(directory_);
    if (::mount(nullptr, directory_.c_str(), nullptr, MS_SHARED, nullptr) != 0) {
        throw_errno("make shared", directory_.native());
    }
    undo.release();
}

Share::~Share() {
    try {
        remove();
    } catch (const std::exception& error) {
        logger_.error("Cannot undo the share", {{"error", error.what()}});
    }
}

void Share::add_container(const ContainerStorage& storage) {
    check_container_id(storage.container_id);
    try {
        make_container_tree(writable_.get(), storage.container_id);
    } catch (...) {
        rethrow_with_context("prepare storage of container " + storage.container_id);
    }
    ScopeExit undo([&] {
        try {
            remove_container(storage.container_id);
        } catch (const std::exception& error) {
            logger_.error("Cannot undo a container's storage", {{"error", error.what()}});
        }
    });
    try {
        bind_rootfs(storage);
        for (std::size_t i = 0; i < storage.volumes.size(); ++i) {
            bind_volume(storage, i);
        }
    } catch (...) {
        rethrow_with_context("prepare storage of container " + storage.container_id);
    }
    undo.release();
}

void Share::bind_rootfs(const ContainerStorage& storage) {
    const auto target = directory_ / storage.container_id / "rootfs";
    if (!storage.rootfs_mounts.empty()) {
        mount_all(storage.rootfs_mounts, target);
        return;
    }
    DetachedMount mount(storage.rootfs, true);
    mount.set_attributes(0, 0, MS_PRIVATE, true);
    mount.attach(target);
}

void Share::bind_volume(const ContainerStorage& storage, std::size_t index) {
    const VolumeSpec& volume = storage.volumes[index];
    struct stat status{};
    if (::stat(volume.source.c_str(), &status) != 0) {
        throw_errno("find volume source", volume.source.native());
    }
    if (const char* const kind = kind_of(status.st_mode)) {
        logger_.warn(
            "Volume is no file or directory, the guest cannot reach what is behind it",
            {{"source", volume.source.native()}, {"kind", kind}}
        );
    }
    DetachedMount mount(volume.source, volume.recursive);
    // Never as a peer of the source: undoing our copy would then undo the host's mounts below it.
    mount.set_attributes(0, 0, volume.propagate ? MS_SLAVE : MS_PRIVATE, true);
    if (volume.read_only || volume.recursive_read_only) {
        mount.set_attributes(MOUNT_ATTR_RDONLY, 0, 0, volume.recursive_read_only);
    }
    make_volume_point(writable_.get(), storage.container_id, index, S_ISDIR(status.st_mode));
    mount.attach(directory_ / storage.container_id / "mounts" / std::to_string(index));
}

void Share::remove_container(const std::string& container_id) {
    check_container_id(container_id);
    if (!writable_) {
        return;
    }
    unmount_all(directory_ / container_id);
    remove_container_tree(writable_.get(), container_id);
}

void Share::remove() {
    if (!writable_) {
        return;
    }
    undo_leftovers(directory_);
    writable_.reset();
}

void undo_leftovers(const std::filesystem::path& directory) {
    unmount_all(directory);
    const UniqueFd fd(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) {
        if (errno == ENOENT) {
            return;
        }
        throw_errno("open", directory.native());
    }
    try {
        remove_all_trees(fd.get());
    } catch (...) {
        rethrow_with_context("clean up " + directory.native());
    }
    if (::rmdir(directory.c_str()) != 0 && errno != ENOENT) {
        throw_errno("remove", directory.native());
    }
}

} // namespace cppvm::storage
