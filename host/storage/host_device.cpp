#include "host/storage/host_device.hpp"

#include <sys/stat.h>

namespace cppvm::storage {

std::optional<dev_t> character_device_at(const std::filesystem::path& path) noexcept {
    struct stat status{};
    if (!path.native().starts_with("/dev/") || ::stat(path.c_str(), &status) != 0 ||
        !S_ISCHR(status.st_mode)) {
        return std::nullopt;
    }
    return status.st_rdev;
}

} // namespace cppvm::storage
