#include "host/storage/detached_mount.hpp"

#include "common/base/error.hpp"

#include <fcntl.h>
#include <sys/mount.h>

namespace cppvm::storage {

DetachedMount::DetachedMount(std::filesystem::path source, bool recursive)
    : source_(std::move(source)),
      fd_(::open_tree(
          AT_FDCWD,
          source_.c_str(),
          OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0U)
      )) {
    if (!fd_) {
        throw_errno("bind", source_.native());
    }
}

void DetachedMount::set_attributes(
    std::uint64_t set, std::uint64_t clear, std::uint64_t propagation, bool recursive
) {
    mount_attr attributes{};
    attributes.attr_set = set;
    attributes.attr_clr = clear;
    attributes.propagation = propagation;
    const unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U);
    if (::mount_setattr(fd_.get(), "", flags, &attributes, sizeof attributes) != 0) {
        throw_errno("set the mount attributes of", source_.native());
    }
}

void DetachedMount::attach(const std::filesystem::path& target) {
    constexpr unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS;
    if (::move_mount(fd_.get(), "", AT_FDCWD, target.c_str(), flags) != 0) {
        throw_errno("bind " + source_.native() + " at", target.native());
    }
}

} // namespace cppvm::storage
