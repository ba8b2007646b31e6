#pragma once

#include "common/async/asio.hpp"
#include "common/base/unique_fd.hpp"
#include "common/log/logger.hpp"
#include "common/oci/spec.hpp"

#include <string>
#include <sys/types.h>
#include <vector>

namespace cppvm::guest {

/// Those of a spec that are of a socket in a directory of the host's (wire::socket_mount_type).
std::vector<oci::Mount> mounts_of_sockets(const oci::Spec& spec);

/// Keeps such mounts in a running container. Each is on the name of the host's own socket. When a
/// server is replaced, that name is another file's, and the kernel takes away what was mounted on
/// it (d_invalidate() in fs/dcache.c); the socket is mounted again as soon as the name is there.
///
/// Thread: the loop's only.
class SocketMounts {
  public:
    /// `init`: pidfd of a process in the container's mount namespace; `pid` is its number.
    SocketMounts(
        const asio::any_io_executor& executor,
        Logger logger,
        std::vector<oci::Mount> mounts,
        UniqueFd init,
        pid_t pid
    );

    /// Until that process has ended. Does not throw. Cancels: no process stays behind.
    Awaitable<> keep();

  private:
    std::vector<oci::Mount> lost() const;
    Awaitable<> mount_again(const std::vector<oci::Mount>& mounts);

    asio::any_io_executor executor_;
    Logger logger_;
    std::vector<oci::Mount> mounts_;
    UniqueFd init_;
    std::string mountinfo_; ///< path
};

} // namespace cppvm::guest
