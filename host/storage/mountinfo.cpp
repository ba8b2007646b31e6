#include "host/storage/mountinfo.hpp"

#include "common/base/error.hpp"
#include "common/base/take_part.hpp"
#include "common/os/file.hpp"

#include <algorithm>
#include <fcntl.h>
#include <functional>
#include <optional>

namespace cppvm::storage {

namespace {

// A line is at most a few KiB; hosts with ten thousand mounts exist.
constexpr std::size_t max_mountinfo_bytes = std::size_t{64} * 1024 * 1024;

bool is_octal(char c) {
    return c >= '0' && c <= '7';
}

// Space, tab, newline and backslash are written as \ooo.
std::string decode_octal(std::string_view text) {
    std::string decoded;
    decoded.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 3 < text.size() && is_octal(text[i + 1]) &&
            is_octal(text[i + 2]) && is_octal(text[i + 3])) {
            const int value =
                (text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0');
            decoded.push_back(static_cast<char>(value));
            i += 3;
        } else {
            decoded.push_back(text[i]);
        }
    }
    return decoded;
}

std::optional<MountPoint> parse_line(std::string_view line) {
    std::vector<std::string_view> fields;
    while (!line.empty()) {
        fields.push_back(take_part(line, ' '));
    }
    // id parent major:minor root path options tag… - type source super-options
    const auto dash =
        fields.size() < 6 ? fields.end() : std::find(fields.begin() + 6, fields.end(), "-");
    if (dash == fields.end() || fields.end() - dash < 3) {
        return std::nullopt;
    }
    MountPoint mount;
    mount.path = decode_octal(fields[4]);
    mount.options = fields[5];
    mount.tags.assign(fields.begin() + 6, dash);
    mount.type = decode_octal(dash[1]);
    mount.source = decode_octal(dash[2]);
    if (!mount.path.starts_with('/')) {
        return std::nullopt;
    }
    return mount;
}

} // namespace

boost::system::result<std::vector<MountPoint>> parse_mountinfo(std::string_view text) {
    std::vector<MountPoint> mounts;
    while (!text.empty()) {
        auto mount = parse_line(take_part(text, '\n'));
        if (!mount) {
            return boost::system::errc::make_error_code(boost::system::errc::bad_message);
        }
        mounts.push_back(std::move(*mount));
    }
    return mounts;
}

std::vector<MountPoint> read_mountinfo() {
    return read_mountinfo(open_file("/proc", O_PATH | O_DIRECTORY).get());
}

std::vector<MountPoint> read_mountinfo(int proc) {
    const char* const path = "/proc/thread-self/mountinfo";
    const UniqueFd file(::openat(proc, "thread-self/mountinfo", O_RDONLY | O_CLOEXEC));
    if (!file) {
        throw_errno("open", path);
    }
    auto mounts = parse_mountinfo(read_all(file.get(), path, max_mountinfo_bytes));
    if (!mounts) {
        throw Error(Code::internal, std::string("parse ") + path + ": a line of unknown form");
    }
    return std::move(*mounts);
}

std::vector<MountPoint>
mounts_below(const std::vector<MountPoint>& mounts, const std::filesystem::path& path) {
    const std::string& top = path.native();
    const std::string below = top == "/" ? top : top + "/";
    std::vector<MountPoint> found;
    for (const MountPoint& mount : mounts) {
        if (mount.path == top || mount.path.starts_with(below)) {
            found.push_back(mount);
        }
    }
    std::ranges::sort(found, std::greater(), [](const MountPoint& mount) {
        return std::ranges::count(mount.path, '/');
    });
    return found;
}

} // namespace cppvm::storage
