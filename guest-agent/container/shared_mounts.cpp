#include "guest-agent/container/shared_mounts.hpp"

#include "common/base/unique_fd.hpp"
#include "guest-agent/setup/look_again.hpp"
#include "guest-agent/setup/rootfs.hpp"

#include <exception>
#include <fcntl.h>

namespace cppvm::guest {

namespace {

constexpr std::string_view file_in_share = "/file"; // host/storage/share_namespace.hpp

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
