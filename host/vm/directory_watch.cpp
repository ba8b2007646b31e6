#include "host/vm/directory_watch.hpp"

#include "common/async/adopt.hpp"
#include "common/base/error.hpp"
#include "common/base/unique_fd.hpp"

#include <boost/asio/buffer.hpp>

#include <array>
#include <sys/inotify.h>

namespace cppvm::vm {

DirectoryWatch::DirectoryWatch(
    const asio::any_io_executor& executor, const std::filesystem::path& directory
)
    : events_(executor) {
    constexpr std::uint32_t changes = IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM;
    UniqueFd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!fd || ::inotify_add_watch(fd.get(), directory.c_str(), changes) < 0) {
        throw_errno("watch", directory.native());
    }
    adopt(events_, std::move(fd));
}

Awaitable<> DirectoryWatch::wait_until(std::function<bool()> condition) {
    std::array<char, 4096> events{};
    while (!condition()) {
        co_await events_.async_read_some(asio::buffer(events), asio::use_awaitable);
    }
}

} // namespace cppvm::vm
