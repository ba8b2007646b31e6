#pragma once

#include "common/base/unique_fd.hpp"

#include <filesystem>

namespace cppvm {

/// A loop device on a file. The kernel frees it by itself (LO_FLAGS_AUTOCLEAR) when its last user
/// goes: the object itself, or the file system that was mounted from it meanwhile.
/// Blocks. Throws: Error naming the file.
class LoopDevice {
  public:
    LoopDevice(const std::filesystem::path& file, bool read_only);

    const std::filesystem::path& path() const noexcept { return path_; }

  private:
    std::filesystem::path path_;
    UniqueFd fd_;
};

} // namespace cppvm
