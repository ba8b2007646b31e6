#pragma once

#include <filesystem>
#include <span>
#include <string>

namespace cppvm::guest {

/// Mounts an overlay at `place`, over what is mounted there: a file system that can be written, and
/// gets the directories "upper" and "work". `images`: files with an erofs each, the top one first,
/// which are in use as long as the overlay is. Their own mounts are there for the
/// time of the call alone, beside `place`; their loop devices go with the overlay. Blocks. Throws:
/// Error that names the file; then nothing more is mounted.
void mount_over_layers(std::span<const std::string> images, const std::filesystem::path& place);

} // namespace cppvm::guest
