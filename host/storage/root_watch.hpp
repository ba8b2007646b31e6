#pragma once

#include "common/async/asio.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace cppvm::storage {

/// Tells which files of a container's root file system somebody else than its guest has written:
/// `docker cp` does (docs/adr/0030-what-the-host-writes-into-a-root.md). It is a group of
/// fanotify(7) that hears of each regular file which is closed after it was open for writing,
/// through whatever mount of that file system, but not through the server's own: what the guest
/// does makes no event.
///
/// Thread: the loop's only.
class RootWatch {
  public:
    /// Throws: Error, such as when this host has no more groups (fs.fanotify.max_user_groups).
    explicit RootWatch(const asio::any_io_executor& executor);

    int fd() noexcept { return events_.native_handle(); }

    /// Waits for the next files; gives their paths below the root. `root` is its path on the host,
    /// by which those are known that are written where the host has it; a writer whose own root it
    /// is (pivot_root(2)) names them as they are. Some may not exist: they are what was, and the
    /// names that writers use. At most 256 at a time. Throws: Error (resource_exhausted) if some
    /// were missed. Cancels: may be called again.
    Awaitable<std::vector<std::string>> next(const std::filesystem::path& root);

  private:
    asio::posix::stream_descriptor events_;
};

/// Begins to watch the file system of `root`, in the forked child that shows it. `server` is its
/// mount there, which is not shown yet. Gives the root's path without links, or an empty one where
/// it is not watched: only overlays are, for other file systems hold more than one container.
/// Blocks. Throws: Error.
std::filesystem::path begin_watch(int watch, const std::filesystem::path& root, int server);

/// What of `file`, as /proc/self/fd has it, is below `root`. For RootWatch and its tests.
std::string name_below(std::string_view file, const std::filesystem::path& root);

} // namespace cppvm::storage
