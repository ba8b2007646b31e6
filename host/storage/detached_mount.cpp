#include "host/storage/detached_mount.hpp"

#include "common/base/error.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/mount.h>

namespace cppvm::storage {

UniqueFd open_mount_source(const std::filesystem::path& path) {
    UniqueFd source(::open_tree(AT_FDCWD, path.c_str(), OPEN_TREE_CLOEXEC));
    if (!source) {
        throw_errno("bind", path.native());
    }
    return source;
}

DetachedMount::DetachedMount(const std::filesystem::path& source, bool recursive)
    : DetachedMount(open_mount_source(source).get(), source.native(), recursive) {}

DetachedMount::DetachedMount(int source, std::string name, bool recursive)
    : source_(std::move(name)),
      fd_(::open_tree(
          source,
          "",
          AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0U)
      )) {
    if (!fd_) {
        throw_errno("bind", source_);
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
        throw_errno("set the mount attributes of", source_);
    }
}

void DetachedMount::set_id_map(int user_namespace, bool recursive) {
    mount_attr attributes{};
    attributes.attr_set = MOUNT_ATTR_IDMAP;
    attributes.userns_fd = static_cast<std::uint64_t>(user_namespace);
    const unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0U);
    if (::mount_setattr(fd_.get(), "", flags, &attributes, sizeof attributes) == 0) {
        return;
    }
    if (errno == EINVAL) {
        const std::string where = recursive ? ", or one that is mounted below," : "";
        throw Error(
            Code::failed_precondition,
            "id-map " + source_ + ": the host's kernel cannot do that with the file system there" +
                where + " (it can with ext4, xfs, btrfs and, since Linux 6.3, tmpfs)",
            std::error_code(EINVAL, std::system_category())
        );
    }
    throw_errno("id-map", source_);
}

void DetachedMount::attach(const std::filesystem::path& target) {
    constexpr unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS;
    if (::move_mount(fd_.get(), "", AT_FDCWD, target.c_str(), flags) != 0) {
        throw_errno("bind " + source_ + " at", target.native());
    }
}

void DetachedMount::attach_at(int target, std::string_view name) {
    constexpr unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    if (::move_mount(fd_.get(), "", target, "", flags) != 0) {
        throw_errno("bind " + source_ + " at", name);
    }
}

} // namespace cppvm::storage
