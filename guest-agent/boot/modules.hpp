#pragma once

#include <filesystem>

namespace cppvm::guest {

/// Loads the kernel modules that a file lists, one absolute path on a line, in that order. No file:
/// everything is built in. Modules that are already loaded are no error.
/// Throws: Error naming the module.
void load_modules(const std::filesystem::path& list);

} // namespace cppvm::guest
