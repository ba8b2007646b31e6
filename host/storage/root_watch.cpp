#include "host/storage/root_watch.hpp"

#include "common/async/adopt.hpp"
#include "common/base/error.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <linux/magic.h>
#include <set>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

namespace cppvm::storage {

namespace {

constexpr std::size_t max_files = 256;

// An event opens the file that it is about, in this process: so nothing may come of that.
constexpr unsigned event_flags = O_RDONLY | O_CLOEXEC | O_NOATIME | O_NONBLOCK;

bool is_whole_overlay(const std::filesystem::path& root) {
    struct statfs system{};
    struct statx status{};
    if (::statfs(root.c_str(), &system) != 0 ||
        ::statx(AT_FDCWD, root.c_str(), 0, STATX_TYPE, &status) != 0) {
        throw_errno("look at", root.native());
    }
    return system.f_type == OVERLAYFS_SUPER_MAGIC &&
           (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

void mark(int watch, unsigned kind, int server, const std::filesystem::path& root) {
    if (::fanotify_mark(watch, FAN_MARK_ADD | kind, FAN_CLOSE_WRITE, server, ".") != 0) {
        throw_errno("watch", root.native());
    }
}

std::string path_of(int file) {
    std::error_code error;
    return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(file), error).native();
}

} // namespace

RootWatch::RootWatch(const asio::any_io_executor& executor) : events_(executor) {
    constexpr unsigned flags = FAN_CLOEXEC | FAN_NONBLOCK | FAN_CLASS_NOTIF;
    UniqueFd group(::fanotify_init(flags, event_flags));
    if (!group) {
        throw_errno("make", "a group of fanotify");
    }
    adopt(events_, std::move(group));
}

Awaitable<std::vector<std::string>> RootWatch::next(const std::filesystem::path& root) {
    std::set<std::string> names;
    alignas(fanotify_event_metadata) std::array<char, 8192> buffer{};
    while (names.empty()) {
        co_await events_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
        for (ssize_t size = 0; names.size() < max_files;) {
            size = ::read(fd(), buffer.data(), buffer.size());
            if (size < 0 && errno == EAGAIN) {
                break;
            }
            // Else: of a file that could not be opened; that event is gone.
            const auto* event = reinterpret_cast<const fanotify_event_metadata*>(buffer.data());
            for (; size > 0 && FAN_EVENT_OK(event, size); event = FAN_EVENT_NEXT(event, size)) {
                if ((event->mask & FAN_Q_OVERFLOW) != 0) {
                    throw Error(
                        Code::resource_exhausted,
                        "watch " + root.native() + ": too many files at once"
                    );
                }
                const UniqueFd file(event->fd);
                names.insert(name_below(path_of(file.get()), root));
            }
        }
    }
    co_return std::vector<std::string>(names.begin(), names.end());
}

std::filesystem::path begin_watch(int watch, const std::filesystem::path& root, int server) {
    if (!is_whole_overlay(root)) {
        return {};
    }
    // Not to be forgotten at the first write, and there before anything is heard.
    mark(
        watch, FAN_MARK_MOUNT | FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, server, root
    );
    mark(watch, FAN_MARK_FILESYSTEM, server, root);
    return std::filesystem::canonical(root);
}

std::string name_below(std::string_view file, const std::filesystem::path& root) {
    const std::string& prefix = root.native();
    if (file.starts_with(prefix) && file.substr(prefix.size()).starts_with('/')) {
        file.remove_prefix(prefix.size());
    }
    file.remove_prefix(std::min(file.find_first_not_of('/'), file.size()));
    return std::string(file);
}

} // namespace cppvm::storage
