#pragma once

#include "common/base/unique_fd.hpp"

#include <filesystem>

namespace cppvm::storage {

/// An empty tmpfs that covers a directory for as long as this object lives: a place for mounts that
/// are made, and moved, before anybody sees them.
/// Owns: the mount, and what is mounted in it. Blocks. Throws: Error naming the directory.
class ScratchMount {
  public:
    explicit ScratchMount(const std::filesystem::path& target);
    ScratchMount(const ScratchMount&) = delete;
    ScratchMount& operator=(const ScratchMount&) = delete;
    ~ScratchMount();

    /// Short, whatever the target is, and only good for this process.
    const std::filesystem::path& path() const noexcept { return path_; }

  private:
    UniqueFd fd_;
    std::filesystem::path path_;
};

} // namespace cppvm::storage
