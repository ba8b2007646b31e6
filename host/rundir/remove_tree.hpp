#pragma once

#include <filesystem>

namespace cppvm {

/// Removes `path` (absolute): a file, or a directory and what is in it, but never anything behind a
/// mount point or symbolic link: a bind mount that could not be undone must not cost the user's
/// files. What is not there is fine. Throws: Error (failed_precondition for a mount point in the
/// way) naming the path; what was removed until then stays removed.
void remove_tree(const std::filesystem::path& path);

} // namespace cppvm
