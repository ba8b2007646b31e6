#include "guest-agent/container/shared_mounts.hpp"

#include "common/base/unique_fd.hpp"
#include "guest-agent/setup/look_again.hpp"
#include "guest-agent/setup/mount_api.hpp"
#include "guest-agent/setup/mount_options.hpp"
#include "guest-agent/setup/root_walk.hpp"
#include "guest-agent/setup/rootfs.hpp"

#include <exception>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

namespace cppvm::guest {

namespace {

constexpr std::string_view file_in_share = "/file"; // host/storage/share_namespace.hpp

bool is_mount(int fd) {
    struct statx status{};
    return ::statx(fd, "", AT_EMPTY_PATH, 0, &status) == 0 &&
           (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

} // namespace

void SharedMounts::look_at(const std::string& source, bool propagates) {
    try {
        const UniqueFd opened = open_shared(share_, source, "share");
        if (propagates && is_mount(opened.get())) { // a file of the share's is none
            set_mount_propagation(opened.get(), MS_SHARED, source);
        }
    } catch (const std::exception&) {
        return;
    }
    // A file is in a directory of its own.
    const std::size_t share = source.find('/', share_.size() + 1);
    const std::size_t end = share == std::string::npos ? share : source.find('/', share + 1);
    known_.insert(source.substr(0, end));
}

void SharedMounts::look_at(const oci::Spec& spec) {
    look_at(spec.root.path, false);
    for (const oci::Mount& mount : spec.mounts) {
        if (mount.source.starts_with(share_ + "/")) {
            look_at(mount.source, propagates(mount));
        }
    }
}

void SharedMounts::look_at_submount(const std::string& path) const {
    const UniqueFd opened = open_shared(share_, path, "mount below a volume");
    if (kind_of(opened.get(), path) == NodeKind::directory || is_mount(opened.get())) {
        return;
    }
    const UniqueFd mount = clone_mount(opened.get(), "", false, path);
    attach_mount(mount.get(), opened.get(), path);
}

void SharedMounts::look_at_submounts(const std::vector<std::string>& paths) const noexcept {
    for (const std::string& path : paths) {
        try {
            look_at_submount(path);
        } catch (const std::exception&) { // NOLINT(bugprone-empty-catch): it is as what is above it
        }
    }
}

void SharedMounts::look_again(std::string_view path) const noexcept {
    if (!path.starts_with(share_ + "/")) {
        return;
    }
    path.remove_prefix(share_.size() + 1);
    const UniqueFd share(::open(share_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    guest::look_again(share.get(), path);
}

void SharedMounts::look_again_at_files(const oci::Spec& spec) const noexcept {
    for (const oci::Mount& mount : spec.mounts) {
        if (mount.source.starts_with(share_ + "/") && mount.source.ends_with(file_in_share)) {
            static_cast<void>(look_again_at(AT_FDCWD, mount.source));
        }
    }
}

void SharedMounts::forget_detached() {
    std::erase_if(known_, [](const std::string& path) { return !look_again_at(AT_FDCWD, path); });
}

} // namespace cppvm::guest
