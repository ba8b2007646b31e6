#pragma once

#include "common/base/unique_fd.hpp"

#include <functional>
#include <string>

namespace cppvm::storage {

/// The longest option string that mount(2) takes: a page less the terminating zero.
inline constexpr std::size_t max_mount_data = 4095;

/// Overlay options that fit, for images of many layers.
struct ShortOverlayOptions {
    std::string data;
    UniqueFd directory; ///< what `data` refers to; must live until the mount is done
};

/// Rewrites "lowerdir=", "upperdir=" and "workdir=" relative to the directory that they all have in
/// common, through /proc/self/fd. Throws: Error (invalid_argument) if that is not short enough.
ShortOverlayOptions shorten_overlay_options(const std::string& data);

/// The options with each path of "lowerdir=" replaced by what `rename` gives for it. Throws: what
/// `rename` throws.
std::string rename_lower_layers(
    const std::string& data, const std::function<std::string(const std::string& path)>& rename
);

} // namespace cppvm::storage
