#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace cppvm::check {

/// What the kernel says of an error number.
std::string reason(int error);

/// The content of a file of /proc or /sys; empty if it cannot be read.
std::string read_kernel_file(const std::filesystem::path& path) noexcept;

/// The first line that starts with `key`; empty if there is none.
std::string_view find_line(std::string_view text, std::string_view key);

} // namespace cppvm::check
