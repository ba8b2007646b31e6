#pragma once

#include "common/async/asio.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace cppvm::guest {

/// A file whose changes the kernel tells: a flat keyed one of a cgroup, as cgroup.events and
/// memory.events (cgroup-v2.rst), or mountinfo, which has no numbers.
/// Owns: a descriptor. Thread: the loop's only.
class EventFile {
  public:
    /// Throws: Error.
    EventFile(const asio::any_io_executor& executor, const std::filesystem::path& path);

    /// The number behind a name now. Throws: Error, also when the cgroup is gone.
    std::uint64_t value(std::string_view name);

    /// Until the file has changed since `value` was called last; mountinfo: since the last wait.
    /// Cancels: nothing is lost.
    Awaitable<> wait_change();

  private:
    asio::posix::stream_descriptor file_;
};

} // namespace cppvm::guest
