#pragma once

#include "common/async/asio.hpp"

#include <filesystem>
#include <string>

namespace cppvm::vmimage {

inline constexpr const char* default_kernel_package = "linux-image-cloud-amd64";

/// Unpacks the distribution's kernel package into `cache` and gives the unpacked tree. A
/// meta-package stands for the one that it depends on. What is in the cache already is neither
/// downloaded nor unpacked again. Installs nothing.
///
/// Uses apt-get, apt-cache and dpkg-deb; what they say about a failure is in the Error.
/// Changes the working directory of the process, since apt-get downloads to there.
/// Throws: Error. Cancels: an incomplete download or tree is not used later.
Awaitable<std::filesystem::path>
fetch_kernel(std::string package, std::filesystem::path cache, Deadline deadline);

/// The same for a package file that is there.
Awaitable<std::filesystem::path>
unpack_kernel(std::filesystem::path file, std::filesystem::path cache, Deadline deadline);

} // namespace cppvm::vmimage
