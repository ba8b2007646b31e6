#include "host/storage/layered_root.hpp"

#include <algorithm>
#include <string>

namespace cppvm::storage {

namespace {

// The guest names them to overlayfs in one page (guest-agent/disks/layers.cpp), at 19 bytes each.
constexpr std::size_t max_layers = 200;

bool has_options(const MountSpec& mount, const std::vector<std::string>& options) {
    return mount.target.empty() && mount.options.size() == options.size() &&
           std::ranges::is_permutation(mount.options, options);
}

bool is_overlay_of_all(const MountSpec& mount, std::size_t layers) {
    const std::string lower =
        layers == 1 ? "{{ mount 1 }}" : "{{ overlay 1 " + std::to_string(layers) + " }}";
    return mount.type == "format/mkdir/overlay" &&
           has_options(
               mount,
               {"X-containerd.mkdir.path={{ mount 0 }}/upper:0755",
                "X-containerd.mkdir.path={{ mount 0 }}/work:0755",
                "upperdir={{ mount 0 }}/upper",
                "workdir={{ mount 0 }}/work",
                "lowerdir=" + lower}
           );
}

} // namespace

std::optional<LayeredRoot> layered_root(std::span<const MountSpec> mounts) {
    if (mounts.size() < 3 || mounts.size() - 2 > max_layers || mounts.front().type != "ext4" ||
        !has_options(mounts.front(), {"rw", "loop"})) {
        return std::nullopt;
    }
    LayeredRoot root{mounts.front(), {}};
    for (const MountSpec& layer : mounts.subspan(1, mounts.size() - 2)) {
        if (layer.type != "erofs" || !has_options(layer, {"ro", "loop"})) {
            return std::nullopt;
        }
        root.layers.emplace_back(layer.source);
    }
    if (!is_overlay_of_all(mounts.back(), root.layers.size())) {
        return std::nullopt;
    }
    return root;
}

} // namespace cppvm::storage
