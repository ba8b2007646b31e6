#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cppvm::vmimage {

/// Writes a cpio archive in the kernel's initramfs format ("newc", buffer-format.rst in the
/// kernel's Documentation/driver-api/early-userspace): root owns everything, all times are 0, inode
/// numbers count up, so the same entries in the same order give the same bytes.
class CpioWriter {
  public:
    void add_directory(std::string_view path, unsigned mode = 0755);
    void add_file(std::string_view path, std::string_view content, unsigned mode = 0644);

    /// Ends the archive and gives it. The writer must not be used any more.
    std::string finish();

  private:
    void add(std::string_view path, std::string_view content, unsigned mode, unsigned links);
    void pad(std::size_t alignment);

    std::string archive_;
    std::uint32_t next_inode_ = 1;
};

} // namespace cppvm::vmimage
