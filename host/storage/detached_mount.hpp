#pragma once

#include "common/base/unique_fd.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace cppvm::storage {

/// Opens (O_PATH) what is to be bound, as mount(2) would find it: symbolic links are followed,
/// automounts made. Blocks, on a hung file system for as long as that hangs. Throws: Error.
UniqueFd open_mount_source(const std::filesystem::path& path);

/// A bind mount that is nowhere yet (open_tree(2)): it is given its attributes first, so that no
/// moment exists in which it is visible and, say, writable. Gone with this object unless attached.
/// Blocks: every call. Throws: Error naming the source.
class DetachedMount {
  public:
    /// A clone of the mount at `source` from there down; `recursive` takes the mounts below along.
    DetachedMount(const std::filesystem::path& source, bool recursive);
    /// The same of an open source; `name` is for errors.
    DetachedMount(int source, std::string name, bool recursive);

    int fd() const noexcept { return fd_.get(); }

    /// mount_setattr(2) with MOUNT_ATTR_* and, if not 0, one of MS_SHARED, MS_SLAVE, MS_PRIVATE.
    void set_attributes(
        std::uint64_t set, std::uint64_t clear, std::uint64_t propagation, bool recursive
    );

    /// Shows the owners of files as the mappings of a user namespace say, which must not be ours.
    /// `recursive`: of the mounts below, too. Throws: also Error (failed_precondition) where the
    /// file system cannot do that.
    void set_id_map(int user_namespace, bool recursive);

    /// Shows it at `target`: a directory for a directory, else a file.
    void attach(const std::filesystem::path& target);
    /// The same at an open target (O_PATH); `name` is for errors.
    void attach_at(int target, std::string_view name);

  private:
    std::string source_;
    UniqueFd fd_;
};

} // namespace cppvm::storage
