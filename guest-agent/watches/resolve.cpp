#include "guest-agent/watches/resolve.hpp"

#include "common/base/error.hpp"
#include "common/base/number.hpp"
#include "common/os/file.hpp"
#include "common/wire/watched_changes.hpp"
#include "guest-agent/setup/look_again.hpp"

#include <algorithm>
#include <array>
#include <climits>
#include <fcntl.h>
#include <grp.h>
#include <map>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace cppvm::guest {

namespace {

constexpr std::uint32_t readers = IN_ACCESS | IN_OPEN | IN_CLOSE_NOWRITE;
// A name may lead elsewhere while it is looked up, and again.
constexpr int attempts = 3;
constexpr std::size_t max_status = 65536;

using FileId = std::pair<dev_t, ino_t>;

std::optional<FileId> id_of(int fd) {
    struct stat status{};
    if (fd < 0 || ::fstat(fd, &status) != 0) {
        return std::nullopt;
    }
    return FileId{status.st_dev, status.st_ino};
}

/// The numbers of a line of proc_pid_status(5).
std::vector<std::uint32_t> numbers_of(std::string_view status, std::string_view key) {
    std::vector<std::uint32_t> numbers;
    const std::size_t at = status.find("\n" + std::string(key) + ":");
    if (at == std::string_view::npos) {
        return numbers;
    }
    std::string_view line = status.substr(at + key.size() + 2);
    line = line.substr(0, line.find('\n'));
    while (true) {
        line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
        const auto number = take_number<std::uint32_t>(line);
        if (!number) {
            return numbers;
        }
        numbers.push_back(*number);
    }
}

/// Up to the page's end first, for the next one may not be there.
std::string read_text(int memory, std::uint64_t address) {
    constexpr std::uint64_t page = 4096;
    std::string text;
    while (text.size() < PATH_MAX) {
        std::array<char, page> part{};
        const std::size_t size = page - (address + text.size()) % page;
        const ssize_t got =
            ::pread(memory, part.data(), size, static_cast<off_t>(address + text.size()));
        if (got <= 0) {
            return "";
        }
        const std::string_view read(part.data(), static_cast<std::size_t>(got));
        text += read.substr(0, read.find('\0'));
        if (read.find('\0') != std::string_view::npos) {
            return text;
        }
    }
    return "";
}

/// Who looks names up: the process, as far as files have owners.
class Caller {
  public:
    explicit Caller(pid_t thread)
        : status_(read_file("/proc/" + std::to_string(thread) + "/status", max_status)) {}

    pid_t process() const {
        const auto numbers = numbers_of(status_, "Tgid");
        return numbers.empty() ? 0 : static_cast<pid_t>(numbers[0]);
    }

    template <class F>
    auto run(F work) const {
        const auto users = numbers_of(status_, "Uid");
        const auto groups = numbers_of(status_, "Gid");
        const auto others = numbers_of(status_, "Groups");
        if (users.size() < 4 || groups.size() < 4 ||
            ::setgroups(others.size(), others.data()) != 0 || ::setegid(groups[3]) != 0 ||
            ::seteuid(users[3]) != 0) {
            throw_errno("become the user of", "a process");
        }
        auto result = work();
        if (::seteuid(0) != 0 || ::setegid(0) != 0) {
            throw_errno("become", "root again");
        }
        return result;
    }

  private:
    std::string status_;
};

UniqueFd open_target(const std::string& path, std::uint32_t mask) {
    int flags = O_PATH | O_CLOEXEC;
    flags |= (mask & IN_DONT_FOLLOW) != 0 ? O_NOFOLLOW : 0;
    flags |= (mask & IN_ONLYDIR) != 0 ? O_DIRECTORY : 0;
    UniqueFd target(::open(path.c_str(), flags));
    // As inotify_add_watch(2) has it.
    if (target && ::faccessat(target.get(), "", R_OK, AT_EMPTY_PATH | AT_EACCESS) != 0) {
        target.reset();
    }
    return target;
}

/// The path below the share of what has `name` in the container: a name above it, or it, is that of
/// a volume's root.
std::optional<std::string>
path_on_share(const std::string& name, const std::map<FileId, std::string>& volumes) {
    for (std::size_t end = name.size(); end != std::string::npos && end > 0;
         end = name.rfind('/', end - 1)) {
        const UniqueFd part(::open(name.substr(0, end).c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
        const auto id = id_of(part.get());
        const auto volume = id ? volumes.find(*id) : volumes.end();
        if (volume != volumes.end()) {
            return volume->second + name.substr(end);
        }
    }
    return std::nullopt;
}

std::string name_of(int descriptors, int fd) {
    std::array<char, PATH_MAX> name{};
    const ssize_t size =
        ::readlinkat(descriptors, std::to_string(fd).c_str(), name.data(), name.size());
    return {name.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
}

} // namespace

bool hears_of_changes(std::uint32_t mask) noexcept {
    return (mask & wire::watched_changes) != 0;
}

std::uint32_t mask_of_changes(std::uint32_t mask) noexcept {
    return mask & ~readers;
}

void resolve_watch(
    ParentLink& parent,
    const WatchCall& call,
    const std::string& share,
    const std::vector<std::string>& volumes
) {
    const std::string process = "/proc/" + std::to_string(call.thread);
    const Caller caller(call.thread);
    const UniqueFd memory = open_file(process + "/mem", O_RDONLY);
    const UniqueFd root = open_file(process + "/root", O_PATH);
    const UniqueFd directory = open_file(process + "/cwd", O_PATH);
    const UniqueFd descriptors = open_file("/proc/self/fd", O_PATH | O_DIRECTORY);
    const UniqueFd host_files = open_file(share, O_PATH | O_DIRECTORY);
    const std::string path = read_text(memory.get(), call.path);
    std::map<FileId, std::string> roots;
    for (const std::string& volume : volumes) {
        const UniqueFd top(::openat(host_files.get(), volume.c_str(), O_PATH | O_CLOEXEC));
        if (const auto id = id_of(top.get())) {
            roots.emplace(*id, volume);
        }
    }
    if (::fchdir(root.get()) != 0 || ::chroot(".") != 0 || ::fchdir(directory.get()) != 0) {
        throw_errno("enter", "the root of a process");
    }
    const auto open = [&] { return caller.run([&] { return open_target(path, call.mask); }); };
    UniqueFd target = path.empty() ? UniqueFd() : open();
    for (int i = 0; i < attempts && target; ++i) {
        const auto place = path_on_share(name_of(descriptors.get(), target.get()), roots);
        if (!place) {
            break;
        }
        // The container hears of changes from now on, so what it finds must not be older.
        look_again(host_files.get(), *place);
        UniqueFd again = open();
        if (id_of(again.get()) == id_of(target.get())) {
            struct stat status{};
            ::fstat(again.get(), &status);
            const WatchTarget found{
                caller.process(), status.st_dev, status.st_ino, S_ISDIR(status.st_mode)
            };
            parent.send(to_message<WatchTarget>({&found, 1}));
            parent.send(*place);
            return;
        }
        target = std::move(again);
    }
    parent.send("");
}

} // namespace cppvm::guest
