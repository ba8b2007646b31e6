#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <sys/types.h>

namespace cppvm::vm {

/// What a helper process sees of the host's files: its sockets are in it, and it may make more.
/// Only the names are trusted here, and no link is followed.
/// Owns: the directory, which goes with it.
class HelperDirectory {
  public:
    /// Empty, also if a killed predecessor has left one. It belongs to `user`, or without one,
    /// which is for tests that are not root, to us. Throws: Error.
    HelperDirectory(std::filesystem::path path, std::optional<uid_t> user);
    HelperDirectory(const HelperDirectory&) = delete;
    HelperDirectory& operator=(const HelperDirectory&) = delete;
    ~HelperDirectory();

    std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
    const std::filesystem::path& path() const noexcept { return path_; }

    /// Makes what already exists the helper's. Throws: Error.
    void give(const std::string& name) const;

  private:
    std::filesystem::path path_;
    std::optional<uid_t> user_;
};

} // namespace cppvm::vm
