#include "guest-agent/disks/layers.hpp"

#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/os/file.hpp"
#include "common/os/loop_device.hpp"
#include "guest-agent/setup/mount_api.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <utility>
#include <vector>

namespace cppvm::guest {

namespace {

// A file with an erofs can be mounted without a loop device only by Linux 6.12 and later.
UniqueFd mount_layer(const std::string& image) {
    const LoopDevice loop(image, true);
    return make_mount("erofs", loop.path(), {"ro"}, MOUNT_ATTR_RDONLY, image);
}

/// Layers on top of each other at one place, for overlayfs takes only what is mounted somewhere
/// (check_mnt in the kernel's clone_private_mount). It takes copies, so they need not live longer
/// than its mount call. Owns: the mounts and the directory.
class LayerMounts {
  public:
    explicit LayerMounts(std::filesystem::path place) : place_(std::move(place)) {
        make_directory(place_, 0700);
    }
    LayerMounts(const LayerMounts&) = delete;
    LayerMounts& operator=(const LayerMounts&) = delete;
    ~LayerMounts() { remove_mount_place(place_); }

    void add(const std::string& image) {
        UniqueFd layer = mount_layer(image);
        const UniqueFd target = open_file(place_, O_PATH | O_DIRECTORY);
        attach_mount(layer.get(), target.get(), place_.native());
        names_ += (names_.empty() ? "" : ":") + ("/proc/self/fd/" + std::to_string(layer.get()));
        layers_.push_back(std::move(layer));
    }

    /// As overlayfs takes them.
    const std::string& names() const noexcept { return names_; }

  private:
    std::filesystem::path place_;
    std::vector<UniqueFd> layers_;
    std::string names_;
};

} // namespace

void mount_over_layers(std::span<const std::string> images, const std::filesystem::path& place) {
    LayerMounts layers(place.native() + ".layers");
    for (const std::string& image : images) {
        layers.add(image);
    }
    const std::string upper = place / "upper";
    const std::string work = place / "work";
    make_directory(upper, 0755);
    make_directory(work, 0755);
    // By mount(2): what fsconfig(2) takes ends after 256 bytes (fs/fsopen.c).
    const std::string data =
        "lowerdir=" + layers.names() + ",upperdir=" + upper + ",workdir=" + work;
    if (::mount("overlay", place.c_str(), "overlay", 0, data.c_str()) != 0) {
        throw_errno(
            "mount an overlay of " + std::to_string(images.size()) + " layers at", place.native()
        );
    }
}

} // namespace cppvm::guest
