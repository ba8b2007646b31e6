#include "host/shim/shim_socket.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "common/os/unix_address.hpp"
#include "host/rundir/run_dir_lock.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace cppvm::shim {

namespace {

constexpr std::string_view scheme = "unix://";
constexpr std::chrono::milliseconds lock_timeout(1000);

sockaddr_un to_sockaddr(const std::filesystem::path& path) {
    return unix_address(path, "choose a shorter socket directory in containerd's configuration");
}

UniqueFd make_socket(const std::filesystem::path& path) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
        throw_errno("make socket", path.native());
    }
    return fd;
}

int bind_to(int fd, const sockaddr_un& address) {
    return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

UniqueFd lock_directory(const std::filesystem::path& directory) {
    UniqueFd fd = open_file(directory, O_RDONLY | O_DIRECTORY);
    if (!lock_within(fd.get(), lock_timeout, directory)) {
        throw Error(
            Code::unavailable,
            "lock " + directory.native() +
                ": another process holds it for too long (`lslocks` names it)"
        );
    }
    return fd;
}

void unlink_socket(const std::filesystem::path& path) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
        throw_errno("remove stale socket", path.native());
    }
}

} // namespace

std::string socket_address(const std::filesystem::path& path) {
    return std::string(scheme) + path.native();
}

std::filesystem::path socket_path_of(std::string_view address) {
    return address.starts_with(scheme) ? address.substr(scheme.size()) : std::string_view();
}

std::optional<ShimSocket>
ShimSocket::bind(const Identity& identity, const std::filesystem::path& socket_dir) {
    auto path = identity.socket_path(socket_dir);
    const sockaddr_un address = to_sockaddr(path);
    make_directories(socket_dir, 0711);
    const UniqueFd lock = lock_directory(socket_dir);
    UniqueFd fd = make_socket(path);
    // A unix socket's name is made with the mode of the socket: 0600 from the first moment on.
    if (::fchmod(fd.get(), 0600) != 0) {
        throw_errno("chmod socket", path.native());
    }
    if (bind_to(fd.get(), address) != 0) {
        if (errno != EADDRINUSE) {
            throw_errno("bind socket", path.native());
        }
        if (is_live(path)) {
            return std::nullopt;
        }
        unlink_socket(path);
        if (bind_to(fd.get(), address) != 0) {
            throw_errno("bind socket", path.native());
        }
    }
    if (::listen(fd.get(), SOMAXCONN) != 0) {
        const int error = errno;
        ::unlink(path.c_str());
        throw_errno("listen on", path.native(), error);
    }
    return ShimSocket(std::move(fd), std::move(path));
}

ShimSocket ShimSocket::adopt(UniqueFd listener, std::filesystem::path path) {
    return {std::move(listener), std::move(path)};
}

bool ShimSocket::is_live(const std::filesystem::path& path) {
    const sockaddr_un address = to_sockaddr(path);
    const UniqueFd fd = make_socket(path);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
        return true;
    }
    switch (errno) {
    case EAGAIN: // its queue of connections is full: busy, not dead
        return true;
    case ECONNREFUSED:
    case ENOENT:
    case ENOTDIR:
    case EPROTOTYPE: // a socket of another type
        return false;
    default:
        throw_errno("connect to", path.native());
    }
}

void ShimSocket::remove_dead(const std::filesystem::path& path) {
    std::error_code error;
    if (!std::filesystem::exists(std::filesystem::symlink_status(path, error))) {
        return;
    }
    const UniqueFd lock = lock_directory(path.parent_path());
    if (!is_live(path)) {
        unlink_socket(path);
    }
}

ShimSocket::ShimSocket(UniqueFd listener, std::filesystem::path path)
    : listener_(std::move(listener)), path_(std::move(path)),
      inode_(open_file(path_, O_PATH | O_NOFOLLOW)) {}

ShimSocket::ShimSocket(ShimSocket&& other) noexcept
    : listener_(std::move(other.listener_)), path_(std::move(other.path_)),
      inode_(std::move(other.inode_)) {
    other.path_.clear();
}

ShimSocket::~ShimSocket() {
    unlink_name();
}

void ShimSocket::unlink_name() noexcept {
    if (path_.empty()) {
        return;
    }
    try {
        const UniqueFd lock = lock_directory(path_.parent_path());
        struct stat ours{};
        struct stat named{};
        if (::fstat(inode_.get(), &ours) == 0 && ::lstat(path_.c_str(), &named) == 0 &&
            ours.st_dev == named.st_dev && ours.st_ino == named.st_ino) {
            ::unlink(path_.c_str());
        }
    } catch (const std::exception&) {
        // The name stays; the next start on it finds it dead and replaces it.
        return;
    }
}

void ShimSocket::release() noexcept {
    path_.clear();
    listener_.reset();
}

} // namespace cppvm::shim
