#include "guest-agent/container/shared_mounts.hpp"

#include "common/base/unique_fd.hpp"
#include "guest-agent/setup/rootfs.hpp"

#include <cerrno>
#include <exception>
#include <unistd.h>

namespace cppvm::guest {

namespace {

/// Makes the kernel ask the host for `path` whatever it remembers, as it does for every name that
/// is to be created (LOOKUP_EXCL, fuse_dentry_revalidate()). Nothing can come of it: a link to
/// another file system is refused after that. Says whether it is there.
bool is_still_there(const std::string& path) {
    return ::link("/proc", path.c_str()) != 0 && errno == EEXIST;
}

} // namespace

void SharedMounts::look_at(const std::string& source) {
    try {
        const UniqueFd opened = open_shared(share_, source, "share");
    } catch (const std::exception&) {
        return;
    }
    // A file is in a directory of its own (host/storage/share_namespace.hpp).
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

void SharedMounts::forget_detached() {
    std::erase_if(known_, [](const std::string& path) { return !is_still_there(path); });
}

} // namespace cppvm::guest
