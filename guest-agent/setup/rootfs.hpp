#pragma once

#include "common/base/unique_fd.hpp"
#include "common/oci/spec.hpp"
#include "guest-agent/setup/sources.hpp"

#include <string>

namespace cppvm::guest {

/// The steps that build a container's view of the file system, in the order in which they are
/// called, in the child's own mount namespace. All throw Error naming step and object.

/// Makes all mounts private and puts the container's rootfs on top of itself as a mount of its own.
/// `path` is for errors. Gives its root (O_PATH).
UniqueFd attach_rootfs(Sources& sources, const std::string& path);

/// Hides maskedPaths and makes readonlyPaths read-only, where they exist. What covers a masked file
/// is the agent's own /dev/null, read-only, so that neither the image nor the container has a say
/// in it.
void protect_paths(int root, const oci::Linux& spec);

/// Makes `root` the root of the mount namespace; nothing of the agent's file systems is left in it.
void enter_root(int root);

/// After `enter_root`: the root's propagation and read-only flag.
void finish_root(int root, const oci::Spec& spec);

/// Opens (O_PATH) a path of the host's share as the agent sees it, without links. Throws: Error
/// (invalid_argument) when it is not below `share`.
UniqueFd open_shared(const std::string& share, const std::string& path, const std::string& what);

} // namespace cppvm::guest
