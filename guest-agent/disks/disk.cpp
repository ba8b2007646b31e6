#include "guest-agent/disks/disk.hpp"

#include <sys/stat.h>

namespace cppvm::guest {

std::optional<Disk> disk_at(const std::filesystem::path& node) noexcept {
    struct stat status{};
    if (::stat(node.c_str(), &status) != 0 || !S_ISBLK(status.st_mode)) {
        return std::nullopt;
    }
    return Disk{node, status.st_rdev};
}

} // namespace cppvm::guest
