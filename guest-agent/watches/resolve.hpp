#pragma once

#include "common/os/forked_child.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace cppvm::guest {

/// What a process of a container has called: inotify_add_watch(2).
struct WatchCall {
    pid_t thread = 0;       ///< whose call it is
    int inotify = -1;       ///< its descriptor
    std::uint64_t path = 0; ///< address in its memory
    std::uint32_t mask = 0;
};

/// An object in a volume. Plain data, for a message.
struct WatchTarget {
    pid_t process = 0; ///< the thread's
    dev_t device = 0;
    ino_t inode = 0;
    bool is_directory = false;
};

/// Whether this mask asks for anything that the host reports (wire::watched_changes).
bool hears_of_changes(std::uint32_t mask) noexcept;

/// The mask for the watch on the shadow: without opens, reads, and closes that wrote nothing, which
/// the host does not report.
std::uint32_t mask_of_changes(std::uint32_t mask) noexcept;

/// The work of a process of its own, which waits for the host's files and changes its root: sends a
/// WatchTarget and then the path below `share`; or an empty message where the call is not about one
/// of `volumes` (paths below `share`), or fails: then it is the kernel's.
void resolve_watch(
    ParentLink& parent,
    const WatchCall& call,
    const std::string& share,
    const std::vector<std::string>& volumes
);

} // namespace cppvm::guest
