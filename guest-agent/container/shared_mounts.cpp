#include "guest-agent/container/shared_mounts.hpp"

#include "common/base/take_part.hpp"
#include "common/base/unique_fd.hpp"
#include "guest-agent/setup/rootfs.hpp"

#include <cerrno>
#include <exception>
#include <fcntl.h>
#include <unistd.h>

namespace cppvm::guest {

namespace {

constexpr std::string_view file_in_share = "/file"; // host/storage/share_namespace.hpp

/// Makes the kernel ask the host for `path` whatever it remembers, as it does for every name that
/// is to be created (LOOKUP_EXCL, fuse_dentry_revalidate()). Nothing can come of it: a link to
/// another file system is refused after that. Says whether it is there.
bool is_still_there(int directory, const std::string& path) {
    return ::linkat(AT_FDCWD, "/proc", directory, path.c_str(), 0) != 0 && errno == EEXIST;
}

UniqueFd open_directory(int directory, const std::string& path) {
    return UniqueFd(::openat(directory, path.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
    );
}

} // namespace

void SharedMounts::look_at(const std::string& source) {
    try {
        const UniqueFd opened = open_shared(share_, source, "share");
    } catch (const std::exception&) {
        return;
    }
    // A file is in a directory of its own.
    const std::size_t share = source.find('/', share_.size() + 1);
    const std::size_t end = share == std::string::npos ? share : source.find('/', share + 1);
    known_.insert(source.substr(0, end));
}

void SharedMounts::look_at(const oci::Spec& spec) {
    look_at(spec.root.path);
    for (const oci::Mount& mount : spec.mounts) {
        if (mount.source.starts_with(share_ + "/")) {
            look_at(mount.source);
        }
    }
}

void SharedMounts::look_again(std::string_view path) const noexcept {
    if (!path.starts_with(share_ + "/")) {
        return;
    }
    path.remove_prefix(share_.size() + 1);
    UniqueFd directory = open_directory(AT_FDCWD, share_);
    // Each name before what is below it: another directory may have its place now. A name that is
    // a link, or "..", leads nowhere.
    while (directory && !path.empty()) {
        const std::string name(take_part(path, '/'));
        if (name == ".." || !is_still_there(directory.get(), name)) {
            return;
        }
        directory = open_directory(directory.get(), name);
    }
}

void SharedMounts::look_again_at_files(const oci::Spec& spec) const noexcept {
    for (const oci::Mount& mount : spec.mounts) {
        if (mount.source.starts_with(share_ + "/") && mount.source.ends_with(file_in_share)) {
            static_cast<void>(is_still_there(AT_FDCWD, mount.source));
        }
    }
}

void SharedMounts::forget_detached() {
    std::erase_if(known_, [](const std::string& path) { return !is_still_there(AT_FDCWD, path); });
}

} // namespace cppvm::guest
