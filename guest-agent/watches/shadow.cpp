#include "guest-agent/watches/shadow.hpp"

#include "common/base/error.hpp"
#include "common/base/number.hpp"
#include "common/os/file.hpp"
#include "guest-agent/setup/look_again.hpp"
#include "guest-agent/setup/mount_api.hpp"
#include "guest-agent/watches/shadow_server.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <linux/fuse.h>
#include <new>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace cppvm::guest {

namespace {

constexpr const char* outside =
    "x"; // the place of what comes from, or goes to, somewhere unwatched
// The host does not watch it any more: it has gone, or its file system has.
constexpr std::uint32_t ends = IN_DELETE_SELF | IN_IGNORED;
constexpr std::size_t max_names = 256;
constexpr std::size_t max_fdinfo = std::size_t{16} * 1024 * 1024;

bool is_name(std::string_view name) {
    return name.size() < sizeof(ShadowStage::name) && name != "." && name != ".." &&
           name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

void write_nothing(const std::string& path) {
    const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
}

/// A name that leads to the file may be a link next to it, or above it, that leads elsewhere now:
/// the kubelet gives the volumes that it writes another content in this way.
void look_again_at_names(int volumes, std::string_view path) {
    const std::string top(path.substr(0, path.find('/')));
    const UniqueFd directory(::openat(volumes, top.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory) {
        return;
    }
    std::error_code error;
    std::vector<std::string> names;
    const std::string place = "/proc/self/fd/" + std::to_string(directory.get());
    for (std::filesystem::directory_iterator entry(place, error), end;
         !error && entry != end && names.size() < max_names;
         entry.increment(error)) {
        names.push_back(entry->path().filename().native());
    }
    for (const std::string& name : names) {
        guest::look_again_at(directory.get(), name);
    }
}

/// The watches in a text of fdinfo (proc_pid_fdinfo(5)): "inotify wd:3 ino:9e7e sdev:800013 …".
void add_watches_in(std::string_view text, std::uint64_t device, std::set<std::uint64_t>& found) {
    const auto field = [](std::string_view line, std::string_view key) {
        const std::size_t at = line.find(key);
        if (at == std::string_view::npos) {
            return std::uint64_t{0};
        }
        line.remove_prefix(at + key.size());
        return take_number<std::uint64_t>(line, 16).value_or(0);
    };
    while (!text.empty()) {
        const std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (line.starts_with("inotify ") && field(line, " sdev:") == device) {
            found.insert(watch_of_node(field(line, " ino:")));
        }
    }
}

std::set<std::uint64_t> watches_on(dev_t device) {
    std::set<std::uint64_t> found;
    std::error_code error;
    for (const auto& process : std::filesystem::directory_iterator("/proc", error)) {
        if (!to_number<pid_t>(process.path().filename().native())) {
            continue;
        }
        const auto descriptors = process.path() / "fd";
        std::error_code gone;
        for (std::filesystem::directory_iterator fd(descriptors, gone), end; !gone && fd != end;
             fd.increment(gone)) {
            std::error_code closed;
            if (std::filesystem::read_symlink(fd->path(), closed) != "anon_inode:inotify") {
                continue;
            }
            try {
                const auto info = process.path() / "fdinfo" / fd->path().filename();
                // The kernel's own form of a device number, in which the major one is 0 here.
                add_watches_in(read_file(info, max_fdinfo), minor(device), found);
            } catch (const Error&) { // NOLINT(bugprone-empty-catch): it has just been closed
            }
        }
    }
    return found;
}

} // namespace

Shadow::Shadow(const std::string& volumes) : volumes_(open_file(volumes, O_PATH | O_DIRECTORY)) {
    void* const memory = ::mmap(
        nullptr, sizeof(ShadowStage), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0
    );
    if (memory == MAP_FAILED) {
        throw_errno("map memory for", "the shadow of volumes");
    }
    stage_ = new (memory) ShadowStage();
    UniqueFd fuse = open_file("/dev/fuse", O_RDWR);
    root_ = make_mount(
        "fuse",
        "cppvm-watches",
        {"fd=" + std::to_string(fuse.get()), "rootmode=40700", "user_id=0", "group_id=0"},
        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
        "the shadow of volumes"
    );
    start_server(std::move(fuse));
    if (::fchdir(root_.get()) != 0) {
        throw_errno("enter", "the shadow of volumes");
    }
}

Shadow::~Shadow() {
    ::munmap(stage_, sizeof *stage_);
}

void Shadow::start_server(UniqueFd fuse) {
    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    if (child < 0) {
        throw_errno("fork to", "serve the shadow of volumes");
    }
    if (child > 0) {
        return;
    }
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() == parent) {
        // Nothing else that the parent has: the file system ends with it.
        const int kept = fuse.get();
        ::syscall(SYS_close_range, 3U, static_cast<unsigned>(kept - 1), 0U);
        ::syscall(SYS_close_range, static_cast<unsigned>(kept + 1), ~0U, 0U);
        serve_shadow(kept, *stage_);
    }
    ::_exit(0);
}

std::uint64_t Shadow::node(std::uint64_t watch) const {
    return shadow_node(watch, watched_.at(watch).is_directory);
}

std::string Shadow::own_name(std::uint64_t watch) const {
    return "a" + std::to_string(node(watch));
}

int Shadow::add(const ShadowWatch& watch, std::string_view path) {
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, watch.process, 0)));
    const UniqueFd inotify(
        static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), watch.inotify, 0))
    );
    if (!inotify) {
        return -errno;
    }
    const bool is_new =
        watched_.try_emplace(watch.watch, Watched{watch.is_directory, std::string(path)}).second;
    const int added = ::inotify_add_watch(inotify.get(), own_name(watch.watch).c_str(), watch.mask);
    if (added >= 0) {
        return added;
    }
    const int error = errno;
    if (is_new) {
        watched_.erase(watch.watch);
    }
    return -error;
}

void Shadow::show(std::uint64_t parent, std::string_view name, bool is_directory) {
    stage_->parent = parent;
    stage_->name = {};
    name.copy(stage_->name.data(), stage_->name.size() - 1);
    stage_->is_directory = is_directory;
}

void Shadow::look_again_at(const Watched& watched, const Change& change) {
    constexpr std::uint32_t of_names = IN_ATTRIB | IN_MOVE_SELF | ends;
    const std::string path =
        change.name().empty() ? watched.path : watched.path + "/" + change.name();
    guest::look_again(volumes_.get(), path);
    if (change.name().empty() && (change.mask() & of_names) != 0) {
        look_again_at_names(volumes_.get(), watched.path);
    }
}

void Shadow::replay(const agent::v2::ReplayRequest& request) {
    const auto& changes = request.changes();
    std::set<std::uint32_t> moved;
    for (int i = 0; i < changes.size(); ++i) {
        const Change& change = changes[i];
        const auto watched = watched_.find(change.watch());
        if (watched == watched_.end() || !is_name(change.name())) {
            continue;
        }
        look_again_at(watched->second, change);
        if ((change.mask() & IN_MOVED_TO) != 0 && moved.contains(change.cookie())) {
            continue;
        }
        const Change* other_half = nullptr;
        if ((change.mask() & IN_MOVED_FROM) != 0) {
            const auto found = std::find_if(changes.begin() + i, changes.end(), [&](const auto& c) {
                return (c.mask() & IN_MOVED_TO) != 0 && c.cookie() == change.cookie() &&
                       watched_.contains(c.watch()) && is_name(c.name());
            });
            if (found != changes.end()) {
                other_half = &*found;
                moved.insert(change.cookie());
                look_again_at(watched_.at(found->watch()), *found);
            }
        }
        emit(change, other_half);
        if ((change.mask() & (IN_DELETE | IN_MOVED_FROM)) != 0) {
            emptied_.insert(change.watch());
        }
        if ((change.mask() & ends) != 0) {
            watched_.erase(change.watch());
        }
    }
    require_server(); // or nobody has heard of them
}

// What fails has no event: whoever watches has gone meanwhile.
void Shadow::emit(const Change& change, const Change* other_half) {
    const std::uint32_t mask = change.mask();
    const std::string own = own_name(change.watch());
    if (change.name().empty()) {
        emit_self(own, node(change.watch()), mask);
        return;
    }
    const std::string path = own + "/" + change.name();
    const bool is_directory = (mask & IN_ISDIR) != 0;
    if ((mask & (IN_CREATE | IN_MOVED_TO)) == 0) {
        show(node(change.watch()), change.name(), is_directory);
    }
    if ((mask & IN_CREATE) != 0) {
        is_directory ? ::mkdir(path.c_str(), 0700) : ::mknod(path.c_str(), S_IFREG | 0600, 0);
    } else if ((mask & IN_DELETE) != 0) {
        is_directory ? ::rmdir(path.c_str()) : ::unlink(path.c_str());
    } else if ((mask & IN_MOVED_FROM) != 0) {
        const std::string target = other_half == nullptr
                                       ? outside
                                       : own_name(other_half->watch()) + "/" + other_half->name();
        ::rename(path.c_str(), target.c_str());
    } else if ((mask & IN_MOVED_TO) != 0) {
        show(FUSE_ROOT_ID, outside, is_directory);
        ::rename(outside, path.c_str());
    } else if ((mask & IN_ATTRIB) != 0) {
        ::chmod(path.c_str(), 0600);
    } else if ((mask & IN_MODIFY) != 0) {
        static_cast<void>(::truncate(path.c_str(), 0));
    } else if ((mask & IN_CLOSE_WRITE) != 0) {
        write_nothing(path);
    }
    show(0, "", false);
}

void Shadow::emit_self(const std::string& own, std::uint64_t node, std::uint32_t mask) {
    if ((mask & IN_ATTRIB) != 0) {
        ::chmod(own.c_str(), 0600);
    } else if ((mask & IN_MODIFY) != 0) {
        static_cast<void>(::truncate(own.c_str(), 0));
    } else if ((mask & IN_CLOSE_WRITE) != 0) {
        write_nothing(own);
    } else if ((mask & IN_MOVE_SELF) != 0) {
        ::rename(own.c_str(), ("b" + own.substr(1)).c_str());
    } else if ((mask & ends) != 0) {
        // It has no links any more, and is found under no name: so the kernel lets go of it.
        struct statx ignored{};
        stage_->without_links = node;
        ::statx(AT_FDCWD, own.c_str(), AT_STATX_FORCE_SYNC, STATX_NLINK, &ignored);
        stage_->gone = node;
        ::statx(AT_FDCWD, own.c_str(), 0, STATX_NLINK, &ignored);
        stage_->without_links = stage_->gone = 0;
    }
}

// What the root is said to be is valid for no time, so its server is asked.
dev_t Shadow::require_server() const {
    struct stat status{};
    if (::fstat(root_.get(), &status) != 0) {
        throw_errno("ask", "the server of the shadow of volumes");
    }
    return status.st_dev;
}

std::set<std::uint64_t> Shadow::sweep() {
    const dev_t device = require_server();
    for (const std::uint64_t watch : std::exchange(emptied_, {})) {
        if (const auto found = watched_.find(watch); found != watched_.end()) {
            guest::look_again(volumes_.get(), found->second.path);
        }
    }
    const std::set<std::uint64_t> alive = watches_on(device);
    std::set<std::uint64_t> dead;
    for (const auto& [watch, watched] : watched_) {
        if (!alive.contains(watch)) {
            dead.insert(watch);
        }
    }
    for (const std::uint64_t watch : dead) {
        watched_.erase(watch);
    }
    return dead;
}

void serve_shadow_requests(ParentLink& parent, const std::string& volumes) {
    Shadow shadow(volumes);
    for (;;) {
        const std::string request = parent.receive();
        const std::string_view body = std::string_view(request).substr(1);
        switch (static_cast<ShadowRequest>(request[0])) {
        case ShadowRequest::add: {
            const auto watch = from_message<ShadowWatch>(body.substr(0, sizeof(ShadowWatch))).at(0);
            const int added = shadow.add(watch, body.substr(sizeof watch));
            parent.send(to_message<int>({&added, 1}));
            break;
        }
        case ShadowRequest::replay: {
            agent::v2::ReplayRequest changes;
            changes.ParseFromArray(body.data(), static_cast<int>(body.size()));
            shadow.replay(changes);
            parent.send("");
            break;
        }
        case ShadowRequest::sweep: {
            const std::set<std::uint64_t> dead = shadow.sweep();
            parent.send(to_message<std::uint64_t>(std::vector(dead.begin(), dead.end())));
            break;
        }
        }
    }
}

} // namespace cppvm::guest
