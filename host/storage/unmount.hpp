#pragma once

#include <filesystem>

namespace cppvm::storage {

/// Detaches everything that is mounted at `path` and below it; files that are open stay usable for
/// who has them. A path where nothing is mounted, or that does not exist, is not an error.
/// Blocks. Throws: Error naming the first mount that stays and the kernel's reason.
void unmount_all(const std::filesystem::path& path);

} // namespace cppvm::storage
