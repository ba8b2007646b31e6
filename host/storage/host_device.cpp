#include "host/storage/host_device.hpp"

#include "common/base/error.hpp"
#include "common/os/device_text.hpp"
#include "common/os/file.hpp"

#include <string>
#include <string_view>
#include <sys/stat.h>

namespace cppvm::storage {

namespace {

constexpr std::size_t max_uevent_bytes = 64UL * 1024;

} // namespace

std::string kernels_name(const std::filesystem::path& sys, std::string_view kind, dev_t number) {
    std::string text;
    try {
        text = read_file(sys / "dev" / kind / device_text(number) / "uevent", max_uevent_bytes);
    } catch (const Error&) {
        return {};
    }
    constexpr std::string_view key = "DEVNAME=";
    const std::size_t at = text.find(key);
    if (at == std::string::npos) {
        return {};
    }
    const std::size_t begin = at + key.size();
    return text.substr(begin, text.find('\n', begin) - begin);
}

std::optional<HostDevice> host_device_at(const std::filesystem::path& path) noexcept {
    struct stat status{};
    if (!path.native().starts_with("/dev/") || ::stat(path.c_str(), &status) != 0 ||
        (!S_ISCHR(status.st_mode) && !S_ISBLK(status.st_mode))) {
        return std::nullopt;
    }
    return HostDevice{status.st_rdev, status.st_mode, status.st_uid, status.st_gid};
}

std::filesystem::path find_block_device(dev_t number) {
    const std::string name = kernels_name("/sys", "block", number);
    const std::filesystem::path path = "/dev/" + name;
    const auto found = name.empty() ? std::nullopt : host_device_at(path);
    if (!found || found->number != number || !S_ISBLK(found->mode)) {
        throw Error(
            Code::failed_precondition, "the host has no block device " + device_text(number)
        );
    }
    return path;
}

} // namespace cppvm::storage
