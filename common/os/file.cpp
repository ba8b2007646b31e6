#include "common/os/file.hpp"

#include "common/base/error.hpp"
#include "common/base/one_line.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cppvm {

UniqueFd open_file(const std::filesystem::path& path, int flags, mode_t mode) {
    for (;;) {
        UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC, mode));
        if (fd) {
            return fd;
        }
        if (errno != EINTR) {
            throw_errno("open", path.native());
        }
    }
}

UniqueFd duplicate(int fd, std::string_view name, int lowest) {
    UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, lowest));
    if (!copy) {
        throw_errno("duplicate", name);
    }
    return copy;
}

std::string read_all(int fd, std::string_view name, std::size_t max_bytes) {
    std::string data;
    std::array<char, 16384> buffer{};
    for (;;) {
        const ssize_t count = ::read(fd, buffer.data(), buffer.size());
        if (count == 0) {
            return data;
        }
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            throw_errno("read", name);
        }
        if (data.size() + static_cast<std::size_t>(count) > max_bytes) {
            throw Error(
                Code::resource_exhausted,
                "read " + std::string(name) + ": larger than the limit of " +
                    std::to_string(max_bytes) + " bytes"
            );
        }
        data.append(buffer.data(), static_cast<std::size_t>(count));
    }
}

UniqueFd open_resolved(
    int directory, const std::filesystem::path& path, std::uint64_t flags, std::uint64_t resolve
) noexcept {
    open_how how{};
    how.flags = flags | O_CLOEXEC;
    how.resolve = resolve;
    return UniqueFd(
        static_cast<int>(::syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how))
    );
}

std::string read_file(const std::filesystem::path& path, std::size_t max_bytes) {
    const UniqueFd fd = open_file(path, O_RDONLY);
    return read_all(fd.get(), path.native(), max_bytes);
}

void write_all(int fd, std::string_view name, std::string_view data) {
    while (!data.empty()) {
        const ssize_t count = ::write(fd, data.data(), data.size());
        if (count < 0) {
            if (errno == EINTR) {
                continue;
            }
            throw_errno("write", name);
        }
        data.remove_prefix(static_cast<std::size_t>(count));
    }
}

void write_file_atomically(const std::filesystem::path& path, std::string_view data, mode_t mode) {
    std::string temporary = path.native() + ".XXXXXX";
    UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
    if (!fd) {
        throw_errno("create", temporary);
    }
    try {
        write_all(fd.get(), temporary, data);
        if (::fchmod(fd.get(), mode) != 0) {
            throw_errno("chmod", temporary);
        }
        if (::rename(temporary.c_str(), path.c_str()) != 0) {
            throw_errno("rename", temporary);
        }
    } catch (...) {
        ::unlink(temporary.c_str());
        throw;
    }
}

void write_control_file(const std::filesystem::path& path, std::string_view data) {
    const UniqueFd fd = open_file(path, O_WRONLY);
    if (::write(fd.get(), data.data(), data.size()) != static_cast<ssize_t>(data.size())) {
        throw_errno(
            "write '" + joined_lines(std::string(data.substr(0, 64))) + "' to", path.native()
        );
    }
}

void make_directory(const std::filesystem::path& path, mode_t mode) {
    if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
        throw_errno("mkdir", path.native());
    }
}

void make_directories(const std::filesystem::path& path, mode_t mode) {
    std::filesystem::path made;
    for (const auto& part : path) {
        made /= part;
        make_directory(made, mode);
    }
}

bool is_same_file(const std::filesystem::path& path, int fd) noexcept {
    struct stat named{};
    struct stat open{};
    return ::stat(path.c_str(), &named) == 0 && ::fstat(fd, &open) == 0 &&
           named.st_dev == open.st_dev && named.st_ino == open.st_ino;
}

void set_nonblocking(int fd, bool on) {
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || ::fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK) != 0) {
        throw_errno("set O_NONBLOCK of", "descriptor " + std::to_string(fd));
    }
}

} // namespace cppvm
