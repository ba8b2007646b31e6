#include "guest-agent/disks/find_disk.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "guest-agent/disks/uevents.hpp"

#include <filesystem>
#include <optional>
#include <string_view>
#include <utility>

namespace cppvm::guest {

namespace {

constexpr const char* block_devices = "/sys/block";
constexpr std::size_t max_serial_bytes = 4096; // a page, as any attribute's

bool has_serial(const std::filesystem::path& device, std::string_view serial) {
    try {
        std::string text = read_file(device / "serial", max_serial_bytes);
        while (text.ends_with('\n')) {
            text.pop_back();
        }
        return text == serial;
    } catch (const Error&) {
        return false; // not every disk has one; or it has just gone
    }
}

std::optional<Disk> look_for(const std::string& serial) {
    for (const auto& entry : std::filesystem::directory_iterator(block_devices)) {
        if (has_serial(entry.path(), serial)) {
            return disk_at("/dev" / entry.path().filename());
        }
    }
    return std::nullopt;
}

Awaitable<Disk> wait_for(std::string serial) {
    std::optional<Disk> found;
    co_await look_at_each_uevent([&] {
        found = look_for(serial);
        return found.has_value();
    });
    co_return *found;
}

} // namespace

Awaitable<Disk> find_disk(std::string serial, Deadline deadline) {
    const std::string what = "wait for disk " + serial;
    co_return co_await with_timeout(wait_for(std::move(serial)), deadline, what);
}

} // namespace cppvm::guest
