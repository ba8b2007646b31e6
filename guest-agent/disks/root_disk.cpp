#include "guest-agent/disks/root_disk.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"
#include "common/os/file.hpp"
#include "guest-agent/disks/layers.hpp"
#include "guest-agent/setup/file_systems.hpp"
#include "guest-agent/setup/mount_api.hpp"
#include "guest-agent/setup/mount_options.hpp"

#include <boost/asio/steady_timer.hpp>

#include <fcntl.h>
#include <utility>

namespace cppvm::guest {

namespace {

// Nothing tells when a file system has let go of its disk.
constexpr std::chrono::milliseconds look_interval(10);

UniqueFd mount_disk(const DiskRequest::Root& request, const std::filesystem::path& disk) {
    oci::Mount mount;
    mount.destination = "/";
    mount.type = request.type;
    mount.source = disk;
    return make_file_system(mount, parse_mount_options(request.options));
}

// As a mount opens it: refused while one has it (open(2), O_EXCL).
bool is_free(const std::filesystem::path& disk) {
    const UniqueFd fd(::open(disk.c_str(), O_RDONLY | O_EXCL | O_CLOEXEC));
    return fd || errno != EBUSY;
}

Awaitable<> wait_free(std::filesystem::path disk) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (!is_free(disk)) {
        timer.expires_after(look_interval);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

} // namespace

RootDisk::RootDisk(const DiskRequest::Root& request, const Disk& disk, std::filesystem::path place)
    : disk_(disk.node), place_(std::move(place)) {
    make_directory(place_.parent_path(), 0755);
    make_directory(place_, 0755);
    try {
        mount(request);
    } catch (...) {
        unmount();
        throw;
    }
}

void RootDisk::mount(const DiskRequest::Root& request) {
    const UniqueFd mount = mount_disk(request, disk_);
    const UniqueFd target = open_file(place_, O_PATH | O_DIRECTORY);
    attach_mount(mount.get(), target.get(), place_.native());
    if (!request.layers.empty()) {
        mount_over_layers(request.layers, place_);
    }
}

RootDisk::~RootDisk() {
    unmount();
}

void RootDisk::unmount() noexcept {
    if (!place_.empty()) {
        remove_mount_place(place_);
        place_.clear();
    }
}

Awaitable<> RootDisk::close(Deadline deadline) {
    unmount();
    co_await with_timeout(wait_free(disk_), deadline, "unmount the root file system");
}

} // namespace cppvm::guest
