#include "host/storage/overlay_options.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"

#include <algorithm>
#include <fcntl.h>
#include <optional>
#include <string_view>
#include <vector>

namespace cppvm::storage {

namespace {

// Splits at `separator` where no backslash is before it.
std::vector<std::string> split(std::string_view text, char separator) {
    std::vector<std::string> parts(1);
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) {
            parts.back().append(text.substr(i, 2));
            ++i;
        } else if (text[i] == separator) {
            parts.emplace_back();
        } else {
            parts.back().push_back(text[i]);
        }
    }
    return parts;
}

bool is_path_option(std::string_view option) {
    return option.starts_with("lowerdir=") || option.starts_with("upperdir=") ||
           option.starts_with("workdir=");
}

std::string join(const std::vector<std::string>& parts, char separator) {
    std::string text;
    for (std::size_t i = 0; i < parts.size(); ++i) {
        text.append(i == 0 ? 0U : 1U, separator).append(parts[i]);
    }
    return text;
}

std::string without_escapes(const std::string& path) {
    std::string plain;
    for (std::size_t i = 0; i < path.size(); ++i) {
        i += path[i] == '\\' && i + 1 < path.size() ? 1 : 0;
        plain.push_back(path[i]);
    }
    return plain;
}

// The longest "/a/b/" that both begin with.
std::string common_directory(const std::string& a, const std::string& b) {
    const auto [end, ignored] = std::ranges::mismatch(a, b);
    const std::string common(a.begin(), end);
    const std::size_t slash = common.rfind('/');
    return slash == std::string::npos ? "" : common.substr(0, slash + 1);
}

} // namespace

ShortOverlayOptions shorten_overlay_options(const std::string& data) {
    const std::vector<std::string> options = split(data, ',');
    std::optional<std::string> common;
    for (const std::string& option : options) {
        if (is_path_option(option)) {
            for (const std::string& path : split(option.substr(option.find('=') + 1), ':')) {
                common =
                    common ? common_directory(*common, path) : path.substr(0, path.rfind('/') + 1);
            }
        }
    }
    ShortOverlayOptions result;
    // An escaped directory name would have to be taken apart; no snapshotter has one.
    if (common && common->size() > 1 && common->find('\\') == std::string::npos) {
        result.directory = open_file(*common, O_PATH | O_DIRECTORY);
        const std::string base = "/proc/self/fd/" + std::to_string(result.directory.get()) + "/";
        for (const std::string& option : options) {
            result.data.append(result.data.empty() ? "" : ",");
            if (!is_path_option(option)) {
                result.data.append(option);
                continue;
            }
            const std::size_t value = option.find('=') + 1;
            result.data.append(option, 0, value);
            std::string_view separator;
            for (const std::string& path : split(option.substr(value), ':')) {
                result.data.append(separator).append(base).append(path, common->size());
                separator = ":";
            }
        }
    }
    if (result.data.empty() || result.data.size() > max_mount_data) {
        throw Error(
            Code::invalid_argument,
            "mount overlay: its options take " + std::to_string(data.size()) +
                " bytes, the kernel takes " + std::to_string(max_mount_data) +
                "; use an image with fewer layers"
        );
    }
    return result;
}

std::string rename_lower_layers(
    const std::string& data, const std::function<std::string(const std::string& path)>& rename
) {
    constexpr std::string_view key = "lowerdir=";
    std::vector<std::string> options = split(data, ',');
    for (std::string& option : options) {
        if (!option.starts_with(key)) {
            continue;
        }
        std::vector<std::string> layers = split(option.substr(key.size()), ':');
        for (std::string& layer : layers) {
            // Empty before layers of data alone ("a::b").
            layer = layer.empty() ? layer : rename(without_escapes(layer));
        }
        option = std::string(key) + join(layers, ':');
    }
    return join(options, ',');
}

} // namespace cppvm::storage
