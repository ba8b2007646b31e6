// watcher MASK PATH…: watches each path (inotify(7)) for the events of MASK (hexadecimal), and
// prints a line for each that comes: "<path> <event>[,isdir] [<name>] [#<cookie>]", where the
// cookies count up from 1. "ready" comes first; a line "add PATH" on stdin watches one more, a line
// "remove PATH" one less, and the end of stdin ends it.

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <poll.h>
#include <string>
#include <sys/inotify.h>
#include <unistd.h>
#include <utility>

namespace {

constexpr std::array names = {
    std::pair{IN_ACCESS, "access"},
    std::pair{IN_MODIFY, "modify"},
    std::pair{IN_ATTRIB, "attrib"},
    std::pair{IN_CLOSE_WRITE, "close_write"},
    std::pair{IN_CLOSE_NOWRITE, "close_nowrite"},
    std::pair{IN_OPEN, "open"},
    std::pair{IN_MOVED_FROM, "moved_from"},
    std::pair{IN_MOVED_TO, "moved_to"},
    std::pair{IN_CREATE, "create"},
    std::pair{IN_DELETE, "delete"},
    std::pair{IN_DELETE_SELF, "delete_self"},
    std::pair{IN_MOVE_SELF, "move_self"},
    std::pair{IN_UNMOUNT, "unmount"},
    std::pair{IN_Q_OVERFLOW, "overflow"},
    std::pair{IN_IGNORED, "ignored"},
    std::pair{IN_ISDIR, "isdir"},
};

class Watcher {
  public:
    explicit Watcher(std::uint32_t mask) : mask_(mask) {}

    int fd() const { return fd_; }

    bool add(const std::string& path) {
        const int watch = ::inotify_add_watch(fd_, path.c_str(), mask_);
        if (watch < 0) {
            std::printf("%s: %s\n", path.c_str(), std::strerror(errno));
            return false;
        }
        paths_[watch] = path;
        return true;
    }

    void remove(const std::string& path) {
        for (const auto& [watch, of] : paths_) {
            if (of == path) {
                ::inotify_rm_watch(fd_, watch);
                return;
            }
        }
    }

    void print_events() {
        alignas(inotify_event) std::array<char, 65536> buffer{};
        const ssize_t size = ::read(fd_, buffer.data(), buffer.size());
        for (ssize_t at = 0; at < size;) {
            const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
            print(*event);
            at += static_cast<ssize_t>(sizeof *event + event->len);
        }
    }

  private:
    void print(const inotify_event& event) {
        std::string text = paths_[event.wd] + " ";
        for (const auto& [bit, name] : names) {
            if ((event.mask & static_cast<std::uint32_t>(bit)) != 0) {
                text += (text.ends_with(' ') ? "" : ",") + std::string(name);
            }
        }
        if (event.len != 0) {
            text += " " + std::string(static_cast<const char*>(event.name));
        }
        if (event.cookie != 0) {
            const auto number = cookies_.emplace(event.cookie, cookies_.size() + 1).first->second;
            text += " #" + std::to_string(number);
        }
        std::puts(text.c_str());
    }

    std::uint32_t mask_;
    int fd_ = ::inotify_init1(IN_CLOEXEC);
    std::map<int, std::string> paths_;
    std::map<std::uint32_t, std::size_t> cookies_;
};

} // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        return 2;
    }
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    Watcher watcher(static_cast<std::uint32_t>(std::strtoul(argv[1], nullptr, 16)));
    for (int i = 2; i < argc; ++i) {
        if (!watcher.add(argv[i])) {
            return 1;
        }
    }
    std::puts("ready");
    std::array<pollfd, 2> waited{{{watcher.fd(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
    for (;;) {
        ::poll(waited.data(), waited.size(), -1);
        if ((waited[0].revents & POLLIN) != 0) {
            watcher.print_events();
        }
        if (waited[1].revents != 0) {
            std::array<char, 4096> line{};
            const ssize_t size = ::read(STDIN_FILENO, line.data(), line.size() - 1);
            if (size <= 0) {
                return 0;
            }
            std::string text(line.data(), static_cast<std::size_t>(size));
            text.resize(text.find('\n') == std::string::npos ? text.size() : text.find('\n'));
            if (text.starts_with("add ") && watcher.add(text.substr(4))) {
                std::puts("added");
            } else if (text.starts_with("remove ")) {
                watcher.remove(text.substr(7));
            }
        }
    }
}
