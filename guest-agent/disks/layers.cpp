#include "guest-agent/disks/layers.hpp"

#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/os/file.hpp"
#include "common/os/loop_device.hpp"
#include "guest-agent/setup/mount_api.hpp"

#include <sys/mount.h>
#include <vector>

namespace cppvm::guest {

namespace {

// A file with an erofs can be mounted without a loop device only by Linux 6.12 and later.
UniqueFd mount_layer(const std::string& image) {
    const LoopDevice loop(image, true);
    return make_mount("erofs", loop.path(), {"ro"}, MOUNT_ATTR_RDONLY, image);
}

/// overlayfs takes a copy of each mount, so that the descriptors need not live longer.
std::string path_of(const UniqueFd& mount) {
    return "/proc/self/fd/" + std::to_string(mount.get());
}

} // namespace

void mount_over_layers(std::span<const std::string> images, const std::filesystem::path& place) {
    std::vector<UniqueFd> layers;
    std::string lower;
    for (const std::string& image : images) {
        layers.push_back(mount_layer(image));
        lower += (lower.empty() ? "" : ":") + path_of(layers.back());
    }
    const std::string upper = place / "upper";
    const std::string work = place / "work";
    make_directory(upper, 0755);
    make_directory(work, 0755);
    // By mount(2): what fsconfig(2) takes ends after 256 bytes (fs/fsopen.c).
    const std::string data = "lowerdir=" + lower + ",upperdir=" + upper + ",workdir=" + work;
    if (::mount("overlay", place.c_str(), "overlay", 0, data.c_str()) != 0) {
        throw_errno(
            "mount an overlay of " + std::to_string(images.size()) + " layers at", place.native()
        );
    }
}

} // namespace cppvm::guest
