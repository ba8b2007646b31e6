#pragma once

#include "common/os/forked_child.hpp"
#include "host/storage/share_work.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace cppvm::storage {

/// A container's files as its processes see them, but for what the guest's kernel makes. Plain
/// data.
struct ContainerView {
    struct Volume {
        std::string name; ///< below the share of the volumes
        std::filesystem::path destination;
        bool read_only = false;
    };

    std::string rootfs; ///< below the share of the root file systems
    std::vector<Volume> volumes;
};

/// Puts the forked child that calls it into a mount namespace whose root is the container's, with
/// its volumes in it, and nothing of the host. As below the share no link is followed there and
/// nothing can be executed: what a client of the host opens as /proc/PID/root leads nowhere else.
/// Mount points that the root file system lacks are made, as they are in the guest; a volume that
/// cannot be put in its place is left out.
///
/// Tells the parent when it is done, and keeps the namespace until the parent has answered.
/// Throws: Error.
void show_in_child(ParentLink& parent, const ContainerView& view, ShareNamespaces namespaces);

} // namespace cppvm::storage
