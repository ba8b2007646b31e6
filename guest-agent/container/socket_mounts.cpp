#include "guest-agent/container/socket_mounts.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/os/forked_child.hpp"
#include "common/os/mount_namespace.hpp"
#include "common/wire/ports.hpp"
#include "guest-agent/cgroup/event_file.hpp"
#include "guest-agent/setup/mount_api.hpp"
#include "guest-agent/setup/root_walk.hpp"

#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <fcntl.h>
#include <filesystem>
#include <utility>

namespace cppvm::guest {

namespace {

constexpr std::size_t max_mountinfo_bytes = std::size_t{64} * 1024 * 1024;
// The name is looked up in the host's directory, whose server may not answer.
constexpr std::chrono::seconds mount_limit{10};
// No event tells that the host's next server has come.
constexpr std::chrono::seconds pause_between_tries{1};

/// What the field "root" of a line in mountinfo ends with where that socket is mounted.
std::string root_of(const oci::Mount& mount) {
    const std::filesystem::path source(mount.source);
    return "/" + (source.parent_path().filename() / source.filename()).native() + " ";
}

/// In a process of its own. Throws: Error.
void mount_in_namespace(int init, const std::vector<oci::Mount>& mounts, ParentLink& parent) {
    std::vector<UniqueFd> sockets;
    sockets.reserve(mounts.size());
    for (const oci::Mount& mount : mounts) {
        sockets.push_back(clone_mount(AT_FDCWD, mount.source.c_str(), false, mount.destination));
    }
    if (enter_mount_namespace(init) != 0) {
        throw_errno("enter", "the container's mount namespace");
    }
    const UniqueFd root = open_file("/", O_PATH | O_DIRECTORY);
    for (std::size_t i = 0; i < mounts.size(); ++i) {
        const std::string& name = mounts[i].destination;
        parent.begin(name);
        const UniqueFd target = resolve_in_root(root.get(), name);
        if (target && kind_of(target.get(), name) == NodeKind::file) {
            attach_mount(sockets[i].get(), target.get(), name);
        }
    }
}

} // namespace

std::vector<oci::Mount> mounts_of_sockets(const oci::Spec& spec) {
    std::vector<oci::Mount> mounts;
    std::ranges::copy_if(spec.mounts, std::back_inserter(mounts), [](const oci::Mount& mount) {
        return mount.type == wire::socket_mount_type;
    });
    return mounts;
}

SocketMounts::SocketMounts(
    const asio::any_io_executor& executor,
    Logger logger,
    std::vector<oci::Mount> mounts,
    UniqueFd init,
    pid_t pid
)
    : executor_(executor), logger_(std::move(logger)), mounts_(std::move(mounts)),
      init_(std::move(init)), mountinfo_("/proc/" + std::to_string(pid) + "/mountinfo") {}

// The names themselves are not looked up: the host's directory may hang.
std::vector<oci::Mount> SocketMounts::lost() const {
    const std::string text = read_file(mountinfo_, max_mountinfo_bytes);
    std::vector<oci::Mount> lost;
    std::ranges::copy_if(mounts_, std::back_inserter(lost), [&](const oci::Mount& mount) {
        return text.find(root_of(mount)) == std::string::npos;
    });
    return lost;
}

Awaitable<> SocketMounts::mount_again(const std::vector<oci::Mount>& mounts) {
    try {
        const int init = init_.get();
        ForkedChild child(
            executor_,
            "mount sockets of the host again",
            {init},
            [init, &mounts](ParentLink& parent) { mount_in_namespace(init, mounts, parent); }
        );
        co_await child.finish(deadline_in(mount_limit));
    } catch (const Error& error) {
        logger_.debug("Sockets of the host are not mounted", {{"error", error.message()}});
    }
}

Awaitable<> SocketMounts::keep() {
    try {
        // The kernel wakes pollers with POLLPRI when a mount comes or goes (proc_pid_mounts(5)).
        EventFile changes(executor_, mountinfo_);
        asio::steady_timer pause(executor_);
        for (;;) {
            const auto mounts = lost();
            if (mounts.empty()) {
                co_await changes.wait_change();
                continue;
            }
            co_await mount_again(mounts);
            pause.expires_after(pause_between_tries);
            co_await pause.async_wait(asio::use_awaitable);
        }
    } catch (const Error& error) {
        logger_.debug("Mounts of sockets are kept no longer", {{"error", error.message()}});
    }
}

} // namespace cppvm::guest
