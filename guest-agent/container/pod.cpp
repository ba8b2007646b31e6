#include "guest-agent/container/pod.hpp"

#include "common/base/error.hpp"
#include "common/base/scope_exit.hpp"
#include "common/os/file.hpp"
#include "common/os/process_id.hpp"
#include "common/wire/ports.hpp"
#include "guest-agent/setup/mount_api.hpp"
#include "guest-agent/setup/pod_init.hpp"

#include <csignal>
#include <fcntl.h>
#include <string>
#include <sys/mount.h>
#include <unistd.h>
#include <utility>

namespace cppvm::guest {

namespace {

// No container's id begins with a dot.
constexpr const char* cgroup_name = ".pod";

} // namespace

PodInit::~PodInit() {
    try {
        if (!has_ended_) {
            signal_pidfd(pidfd_.get(), SIGKILL);
        }
    } catch (const std::exception&) { // NOLINT(bugprone-empty-catch): nobody may not kill its child
    }
}

Pod::Pod(
    Reaper& reaper, const std::filesystem::path& share, const std::filesystem::path& cgroup_root
)
    : reaper_(reaper), shared_memory_(share / wire::shm_directory),
      cgroup_(cgroup_root / cgroup_name) {}

void Pod::set_shared_memory(std::uint64_t bytes) {
    if (bytes == 0) {
        unmount_shared_memory();
        return;
    }
    if (has_shared_memory_) {
        return; // the host had not heard our answer
    }
    make_directories(shared_memory_, 0755);
    const std::string options = "mode=1777,size=" + std::to_string(bytes);
    constexpr unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (::mount("shm", shared_memory_.c_str(), "tmpfs", flags, options.c_str()) != 0) {
        throw_errno("mount", shared_memory_.native());
    }
    has_shared_memory_ = true;
}

void Pod::unmount_shared_memory() noexcept {
    if (std::exchange(has_shared_memory_, false)) {
        remove_mount_place(shared_memory_);
    }
}

std::shared_ptr<PodInit> Pod::take_init() {
    auto init = init_.lock();
    if (!init || init->has_ended()) {
        init = start_init();
        init_ = init;
    }
    return init;
}

std::shared_ptr<PodInit> Pod::start_init() {
    make_directory(cgroup_, 0755);
    ScopeExit remove_cgroup([this] { ::rmdir(cgroup_.c_str()); });
    const UniqueFd cgroup = open_file(cgroup_, O_RDONLY | O_DIRECTORY);
    CloneResult child = start_pod_init(cgroup.get());
    remove_cgroup.release();
    auto init = std::make_shared<PodInit>(child.pid, std::move(child.pidfd));
    reaper_.watch(child.pid, [weak = std::weak_ptr(init), path = cgroup_](int) {
        if (const auto ended = weak.lock()) {
            ended->note_end();
        }
        ::rmdir(path.c_str()); // stays if a next one is in it
    });
    return init;
}

void Pod::stop() noexcept {
    unmount_shared_memory();
}

} // namespace cppvm::guest
