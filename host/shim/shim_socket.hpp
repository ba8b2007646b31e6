#pragma once

#include "common/base/unique_fd.hpp"
#include "host/rundir/identity.hpp"

#include <filesystem>
#include <optional>
#include <string>
namespace cppvm::shim {

inline constexpr const char* default_socket_dir = "/run/containerd/s";

/// The address that containerd is told: "unix://<path>".
std::string socket_address(const std::filesystem::path& path);

/// The path in such an address; empty if it is none.
std::filesystem::path socket_path_of(std::string_view address);

/// The listening socket of a sandbox's shim. Its name is also the lock that says who the sandbox's
/// shim is: all that make or remove such sockets do it holding a flock(2) on their directory, so
/// two that start at once cannot both find a dead socket and replace each other's.
///
/// Owns: the descriptor and the name; the destructor removes the name, if it is still this
/// socket's. All functions block, for no longer than a second. Throws: Error.
class ShimSocket {
  public:
    /// Binds and listens, mode 0600. A socket that nobody listens on is replaced.
    /// Nothing if a live shim answers there. The directory is made (0711) if it is missing.
    static std::optional<ShimSocket>
    bind(const Identity& identity, const std::filesystem::path& socket_dir);

    /// Takes over a socket that another process bound.
    static ShimSocket adopt(UniqueFd listener, std::filesystem::path path);

    /// True if a process listens there.
    static bool is_live(const std::filesystem::path& path);

    /// Removes a socket that nobody listens on. A live or missing one is fine.
    static void remove_dead(const std::filesystem::path& path);

    ShimSocket(ShimSocket&& other) noexcept;
    ShimSocket& operator=(ShimSocket&& other) = delete;
    ~ShimSocket();

    const std::filesystem::path& path() const noexcept { return path_; }
    std::string address() const { return socket_address(path_); }
    int fd() const noexcept { return listener_.get(); }

    /// Returns the descriptor away; the name stays this object's.
    UniqueFd take_listener() noexcept { return std::move(listener_); }

    /// Removes the name, if it is still this socket's, and goes on listening for who is connected:
    /// the name is free for the next shim of this sandbox.
    void unlink_name() noexcept;

    /// Leaves the name to somebody else and closes the descriptor.
    void release() noexcept;

  private:
    ShimSocket(UniqueFd listener, std::filesystem::path path);

    UniqueFd listener_;
    std::filesystem::path path_; // empty: not ours any more
    // The name's inode (O_PATH): held, so that its number is not given to another socket meanwhile.
    UniqueFd inode_;
};

} // namespace cppvm::shim
