#pragma once

#include <filesystem>
#include <optional>
#include <sys/types.h>

namespace cppvm::storage {

/// The number of the character device at `path`; nothing if it is something else, or does not
/// exist, which shows when it is mounted. Looks only below /dev: anywhere else a stat could wait
/// for a server that does not answer.
std::optional<dev_t> character_device_at(const std::filesystem::path& path) noexcept;

} // namespace cppvm::storage
