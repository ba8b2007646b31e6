#pragma once

#include "common/oci/spec.hpp"

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace cppvm::guest {

/// The host's mounts on the share that this machine knows. The kernel makes a file system for each
/// when it is first looked at, where it is looked at, and keeps that until it asks the host again.
///
/// So each is looked at here, in the agent's own mount namespace, before a container's is made of
/// that: all containers that have one source get the same file system, and with it the same inodes.
/// Where mounts propagate (rshared, rslave) it becomes a peer of those in the containers: what one
/// of them mounts there, all get.
///
/// And the host is asked again when a container has gone: file systems whose mounts the host has
/// detached go, and the host's server lets go of every file of theirs.
///
/// Thread: the loop's only. Blocks: for as long as the host does not answer for a file.
class SharedMounts {
  public:
    explicit SharedMounts(std::string share) : share_(std::move(share)) {}

    /// Looks at all that the spec names below the share; what fails, fails again with a better
    /// message when the container is set up.
    void look_at(const oci::Spec& spec);

    /// Looks at mounts of the host's below volumes. A file that is one is bound over itself, for
    /// the host announces directories alone. Each then has flags of its own in every container that
    /// is made after that, where one that is first looked at later has those of the mount above it
    /// (fuse_dentry_automount(), finish_automount()). What fails is left as it is.
    void look_at_submounts(const std::vector<std::string>& paths) const noexcept;

    /// Takes from the host what it knows of a file, and of the directories that lead to it: for
    /// what the kernel would believe for a second, or for a day. Links are not followed. What
    /// cannot be looked at, the container cannot see either.
    void look_again(std::string_view path) const noexcept;

    /// The same for each file that is mounted by itself: those are often written after the
    /// container was made, and before it starts (Docker's /etc/hosts).
    void look_again_at_files(const oci::Spec& spec) const noexcept;

    /// Forgets what the host does not have any more.
    void forget_detached();

  private:
    void look_at(const std::string& source, bool propagates);
    void look_at_submount(const std::string& path) const;

    std::string share_;
    std::set<std::string> known_; ///< paths
};

} // namespace cppvm::guest
