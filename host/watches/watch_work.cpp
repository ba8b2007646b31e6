#include "host/watches/watch_work.hpp"

#include "common/base/error.hpp"
#include "common/os/child_confinement.hpp"
#include "common/os/file.hpp"
#include "common/wire/watched_changes.hpp"
#include "host/storage/share_namespace.hpp"

#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string>
#include <string_view>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cppvm::watches {

namespace {

UniqueFd open_in_share(const std::string& path, int flags) {
    return open_resolved(
        AT_FDCWD,
        path,
        static_cast<std::uint64_t>(O_PATH | O_NOFOLLOW | flags),
        RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
    );
}

/// From the directory that it is in, as there is no /proc in the share by which a descriptor has a
/// path.
int watch_in(int directory, const char* name, int inotify) {
    if (::fchdir(directory) != 0) {
        return -errno;
    }
    const int watch = ::inotify_add_watch(inotify, name, wire::watched_changes | IN_DONT_FOLLOW);
    return watch < 0 ? -errno : watch;
}

int add_watch(const std::string& path, ino_t inode, int inotify) {
    const UniqueFd file = open_in_share(path, 0);
    struct stat status{};
    if (!file || ::fstat(file.get(), &status) != 0) {
        return -errno;
    }
    if (status.st_ino != inode) {
        return -ESTALE;
    }
    if (S_ISDIR(status.st_mode)) {
        return watch_in(file.get(), ".", inotify);
    }
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos) {
        return -ENOENT; // a volume that is a file is in a directory of its own
    }
    const UniqueFd directory = open_in_share(path.substr(0, slash), O_DIRECTORY);
    return directory ? watch_in(directory.get(), path.c_str() + slash + 1, inotify) : -errno;
}

} // namespace

void add_watches(ParentLink& parent, int name_space, int inotify, const Confinement& confinement) {
    storage::enter_share(name_space);
    const UniqueFd top = open_file("/", O_PATH | O_DIRECTORY);
    const ChildReport none(-1); // the parent sees it end
    const ChildConfinement confined(confinement);
    confined.isolate(none);
    confined.drop_privileges(none);
    confined.restrict_system_calls(none);
    for (;;) {
        const std::string message = parent.receive();
        const auto order =
            from_message<WatchOrder>(std::string_view(message).substr(0, sizeof(WatchOrder)));
        const int watch =
            order.empty() ? -EINVAL
                          : add_watch(message.substr(sizeof(WatchOrder)), order[0].inode, inotify);
        // Out of there again: a directory that somebody is in has no end that could be told.
        if (::fchdir(top.get()) != 0) {
            throw_errno("leave", "a volume");
        }
        parent.send(to_message<int>({&watch, 1}));
    }
}

} // namespace cppvm::watches
