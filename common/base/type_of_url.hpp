#pragma once

#include <string_view>

namespace cppvm {

/// The name of the message in a google.protobuf.Any by its type_url: containerd writes bare names,
/// others put "type.googleapis.com/" before them.
inline std::string_view type_of_url(std::string_view url) noexcept {
    const auto slash = url.rfind('/');
    return slash == std::string_view::npos ? url : url.substr(slash + 1);
}

} // namespace cppvm
