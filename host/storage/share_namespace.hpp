#pragma once

#include "host/storage/detached_mount.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cppvm::storage {

/// The inside of one share: the mount namespace of its virtiofsd, whose root is the exported
/// directory, an empty read-only tmpfs. What is shown there has a number for a name, and no number
/// is used twice: what the guest remembers of an old one never meets a new one.
///
/// Only for a forked child (common/os/forked_child.hpp): it moves the whole process into that
/// namespace, where no path of the host leads anywhere.
/// Blocks: every call, but only `reach_submount` for a file system of the host. Throws: Error.
class ShareNamespace {
  public:
    /// Enters it. `name_space` is a descriptor of the mount namespace.
    explicit ShareNamespace(int name_space);

    /// Shows a directory as `<number>`; a file as `<number>/file`, so that it, too, is in a mount
    /// (for the guest: in a file system) of its own, or its inode number could be another's.
    void attach_directory(std::uint64_t number, DetachedMount& mount);
    void attach_file(std::uint64_t number, DetachedMount& mount);

    /// Whether the guest may write through the mount at `number`. Throws: Error, with EBUSY while
    /// somebody has a file of it open for writing.
    void set_read_only(std::uint64_t number, bool is_file, bool read_only);

    /// A clone of what is shown as `name` (shared_name), for another namespace.
    static DetachedMount clone(const std::string& name) { return {"/" + name, true}; }

    /// The paths of what is mounted below an attached directory, outer mounts first. They come from
    /// the host's names: whoever follows one must expect anything there. `proc` is a descriptor of
    /// the host's /proc, opened before.
    static std::vector<std::string> submounts(std::uint64_t number, int proc);

    /// Asks the file system that is mounted at such a path, as the server will: blocks for as long
    /// as that does not answer. False if the path leads to no mount any more, or never did because
    /// another mount hides it.
    static bool reach_submount(const std::string& path);

    /// Undoes attach. What is not there is not an error.
    void detach(std::uint64_t number);

  private:
    DetachedMount writable_; // the tmpfs, through a mount that nobody else sees
};

/// Only that: moves the process into the namespace, with the share as its root and working
/// directory. Throws: Error.
void enter_share(int name_space);

/// The name that the guest finds an attached mount by, below the share.
std::string shared_name(std::uint64_t number, bool is_file);

} // namespace cppvm::storage
