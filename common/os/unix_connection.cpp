#include "common/os/unix_connection.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"

#include <fcntl.h>
#include <string>

namespace cppvm {

using asio::local::stream_protocol;

Awaitable<stream_protocol::socket> connect_unix(std::filesystem::path path, SymbolicLinks links) {
    auto executor = co_await asio::this_coro::executor;
    const UniqueFd file =
        open_file(path, O_PATH | (links == SymbolicLinks::refuse ? O_NOFOLLOW : 0));
    const std::string name = "/proc/self/fd/" + std::to_string(file.get());
    stream_protocol::socket socket(executor);
    auto [error] = co_await socket.async_connect(stream_protocol::endpoint(name), use_tuple);
    if (error == asio::error::operation_aborted) {
        throw boost::system::system_error(error);
    }
    if (error) {
        throw_errno("connect to", path.native(), error.value());
    }
    co_return socket;
}

} // namespace cppvm
