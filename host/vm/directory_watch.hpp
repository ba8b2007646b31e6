#pragma once

#include "common/async/asio.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

#include <filesystem>
#include <functional>

namespace cppvm::vm {

/// Waits for names to come into a directory or to go from it (inotify(7)). Made before what is
/// waited for can happen, so that it cannot be missed.
/// Thread: the loop's only.
class DirectoryWatch {
  public:
    /// Throws: Error naming the directory.
    DirectoryWatch(const asio::any_io_executor& executor, const std::filesystem::path& directory);

    /// Until `condition` is true; it is asked at once, and after each change. Cancels: may be
    /// called again.
    Awaitable<> wait_until(std::function<bool()> condition);

  private:
    asio::posix::stream_descriptor events_;
};

} // namespace cppvm::vm
