#pragma once

#include "common/base/unique_fd.hpp"

#include <string>

namespace cppvm {

/// A user namespace that only this descriptor keeps, for mount_setattr(2) with MOUNT_ATTR_IDMAP.
/// `uid_map` and `gid_map` are the texts of the files of these names (user_namespaces(7)).
///
/// The kernel makes one only with a process in it: a fork of this one, which lives until this
/// returns and dies with this process. So this is for a process of one thread, as a forked child
/// (forked_child.hpp), whose deadline is this one's, too.
/// Blocks: for a moment. Throws: Error naming the step.
UniqueFd make_user_namespace(const std::string& uid_map, const std::string& gid_map);

} // namespace cppvm
