#pragma once

#include <filesystem>
#include <string_view>
#include <sys/un.h>

namespace cppvm {

/// The address of the unix socket at `path`.
/// Throws: Error (invalid_argument) if that is longer than the 107 bytes of unix(7); the message
/// ends with `remedy`.
sockaddr_un unix_address(const std::filesystem::path& path, std::string_view remedy);

} // namespace cppvm
