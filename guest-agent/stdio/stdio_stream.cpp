#include "guest-agent/stdio/stdio_stream.hpp"

#include "common/async/timeout.hpp"

#include <utility>

namespace cppvm::guest {

StdioStream::StdioStream(const asio::any_io_executor& executor, StreamSocket first)
    : waiting_(stream::Connection{std::make_shared<StreamSocket>(std::move(first)), 0}),
      has_waiting_(executor) {
    has_waiting_.set();
}

Awaitable<std::optional<stream::Connection>> StdioStream::next() {
    co_await ends_by(has_waiting_.wait(), deadline_in(resume_limit));
    auto connection = std::exchange(waiting_, std::nullopt);
    has_waiting_.clear();
    if (connection) {
        in_use_ = connection->socket;
    }
    co_return connection;
}

void StdioStream::resume(StreamSocket connection, std::uint64_t host_received) {
    if (const auto socket = in_use_.lock()) {
        boost::system::error_code ignored;
        socket->shutdown(asio::socket_base::shutdown_both, ignored);
        in_use_.reset(); // what it has in its buffer does not count any more
    }
    waiting_ = {std::make_shared<StreamSocket>(std::move(connection)), host_received};
    has_waiting_.set();
}

} // namespace cppvm::guest
