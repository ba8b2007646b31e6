#pragma once

#include "common/os/confinement.hpp"
#include "common/os/forked_child.hpp"

#include <cstdint>

namespace cppvm::watches {

/// Of a file that is to be watched; its path follows in the message.
struct WatchOrder {
    std::uint64_t inode = 0; ///< it must be this file still
};

/// The work of a process of its own, which waits for files of volumes as long as that takes, and
/// takes paths from the guest: so it has nothing but the share of the volumes (`name_space`: its
/// mount namespace), may read all that is there, and do nothing else. For each WatchOrder it adds a
/// watch to `inotify` and answers its descriptor, or a negated errno; until its parent has gone.
void add_watches(ParentLink& parent, int name_space, int inotify, const Confinement& confinement);

} // namespace cppvm::watches
