#include "tests/e2e/probe/attempt.hpp"
#include "tests/e2e/probe/probe.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cppvm::probe {

namespace {

/// What a reader gets: "content", "nothing" or an error.
std::string reads(const std::string& path, bool directory) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | (directory ? O_DIRECTORY : 0));
    if (fd < 0) {
        return error_name(errno);
    }
    std::array<char, 4096> bytes{};
    const long got = directory ? 0 : ::read(fd, bytes.data(), bytes.size());
    const int error = errno;
    ::close(fd);
    return directory ? "opens" : got < 0 ? error_name(error) : got == 0 ? "nothing" : "content";
}

std::string writes(const std::string& path, bool directory) {
    return attempt([&] {
        const std::string target = directory ? path + "/.probe" : path;
        const int flags = directory ? O_CREAT | O_EXCL : 0;
        const int fd = ::open(target.c_str(), O_WRONLY | O_NONBLOCK | flags, 0600);
        if (fd >= 0 && directory) {
            ::unlink(target.c_str());
        }
        return error_of(fd);
    });
}

Json describe(const std::string& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
        return error_name(errno);
    }
    const bool directory = S_ISDIR(status.st_mode);
    return {
        {"mode", status.st_mode & 07777U},
        {"uid", status.st_uid},
        {"gid", status.st_gid},
        {"reads", reads(path, directory)},
        {"writes", writes(path, directory)},
    };
}

} // namespace

Json files(const std::vector<std::string>& more) {
    std::vector<std::string> paths = {
        "/",
        "/tmp",
        "/etc/passwd",
        "/proc",
        "/proc/acpi",
        "/proc/kcore",
        "/proc/keys",
        "/proc/timer_list",
        "/proc/sched_debug",
        "/proc/scsi",
        "/sys/firmware",
        "/sys/kernel/security",
        "/sys/fs/cgroup",
        "/proc/bus",
        "/proc/fs",
        "/proc/irq",
        "/proc/sys/kernel/hostname",
        "/proc/sys/net/ipv4/ip_forward",
        "/proc/sysrq-trigger",
        "/proc/self/oom_score_adj",
        "/sys/class/net",
        "/dev/shm",
        "/dev/mqueue",
        "/dev/pts",
    };
    paths.insert(paths.end(), more.begin(), more.end());
    Json result;
    for (const std::string& path : paths) {
        result[path] = describe(path);
    }
    return result;
}

} // namespace cppvm::probe
