#include "host/storage/mount_table.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"

#include <algorithm>
#include <cerrno>

#include <sys/mount.h>

namespace cppvm::storage {

namespace {

// A node with hundreds of pods has thousands of mounts, of overlays with long options.
constexpr std::size_t max_table_bytes = 256UL * 1024 * 1024;
// Mounts may be stacked, or propagate to where we look while we unmount.
constexpr int max_rounds = 8;

bool is_octal(char c) { return c >= '0' && c <= '7'; }

/// The kernel writes space, tab, newline and backslash as \ooo.
std::string unescape(std::string_view text) {
    std::string result;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) &&
            is_octal(text[i + 2]) && is_octal(text[i + 3])) {
            const int code = (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
            result.push_back(static_cast<char>(code));
            i += 3;
        } else {
            result.push_back(text[i]);
        }
    }
    return result;
}

} // namespace

std::vector<std::string> parse_mount_points(std::string_view mountinfo) {
    std::vector<std::string> points;
    while (!mountinfo.empty()) {
        const std::size_t end = std::min(mountinfo.find('\n'), mountinfo.size());
        std::string_view line = mountinfo.substr(0, end);
        mountinfo.remove_prefix(std::min(end + 1, mountinfo.size()));
        // mount id, parent id, major:minor, root, mount point
        for (int field = 0; field < 4; ++field) {
            const std::size_t space = line.find(' ');
            line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
        }
        const std::string_view point = line.substr(0, line.find(' '));
        if (point.starts_with('/')) {
            points.push_back(unescape(point));
        }
    }
    return points;
}

std::vector<std::string> mounts_below(const std::filesystem::path& path) {
    const std::string top = path.lexically_normal().native();
    auto points = parse_mount_points(read_file("/proc/self/mountinfo", max_table_bytes));
    std::erase_if(points, [&](const std::string& point) {
        return point != top && !point.starts_with(top + "/");
    });
    std::reverse(points.begin(), points.end());
    return points;
}

void unmount_below(const std::filesystem::path& path) {
    int failure = 0;
    std::string failed;
    for (int round = 0; round < max_rounds; ++round) {
        const auto points = mounts_below(path);
        if (points.empty()) {
            return;
        }
        failed.clear();
        for (const std::string& point : points) {
            // EINVAL: it went with another one, through propagation
            if (::umount2(point.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL &&
                failed.empty()) {
                failure = errno;
                failed = point;
            }
        }
        if (!failed.empty()) {
            throw_errno("unmount", failed, failure);
        }
    }
    throw Error(Code::internal, "unmount " + path.native() + ": something mounts there again and again");
}

} // namespace cppvm::storage
