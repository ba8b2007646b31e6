#include "guest-agent/cgroup/event_file.hpp"

#include "common/async/adopt.hpp"
#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "guest-agent/cgroup/numbers.hpp"

#include <array>
#include <fcntl.h>
#include <unistd.h>

namespace cppvm::guest {

EventFile::EventFile(const asio::any_io_executor& executor, const std::filesystem::path& path)
    : file_(to_descriptor(executor, open_file(path, O_RDONLY | O_NONBLOCK))) {}

std::uint64_t EventFile::value(std::string_view name) {
    std::array<char, 1024> text{};
    const ssize_t size = ::pread(file_.native_handle(), text.data(), text.size(), 0);
    if (size < 0) {
        throw_errno("read", "events of a cgroup");
    }
    return value_of({text.data(), static_cast<std::size_t>(size)}, name);
}

// The kernel wakes pollers with POLLPRI when the file changes after it was read.
Awaitable<> EventFile::wait_change() {
    co_await file_.async_wait(asio::posix::descriptor_base::wait_error, asio::use_awaitable);
}

} // namespace cppvm::guest
