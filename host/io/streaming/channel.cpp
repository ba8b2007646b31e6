#include "host/io/streaming/channel.hpp"

#include "common/async/timeout.hpp"
#include "common/async/with_undo.hpp"
#include "common/base/error.hpp"
#include "common/os/unix_connection.hpp"
#include "host/io/streaming/window.hpp"

#include <utility>

namespace cppvm::io::streaming {

namespace {

constexpr const char* service = "containerd.services.streaming.v1.Streaming";
constexpr const char* method = "Stream";
constexpr const char* namespace_key = "containerd-namespace-ttrpc";
constexpr std::size_t max_message = 2UL * window_size;

// A status of the server's is about the stream, never about a container.
ttrpc::PeerPolicy policy() {
    return {
        .max_reply_bytes = max_message,
        .max_unread_bytes = 2 * max_message,
        .map_status = [](Status status
                      ) { return Status{Code::failed_precondition, std::move(status.message)}; }
    };
}

} // namespace

Channel::Channel(const asio::any_io_executor& executor, StreamSocket socket, const Logger& logger)
    : client_(std::move(socket), logger, policy()), tasks_(executor, logger) {}

Awaitable<std::shared_ptr<Channel>>
Channel::open(Logger logger, Address address, std::string containerd_namespace, Deadline deadline) {
    const auto executor = co_await asio::this_coro::executor;
    try {
        auto socket = co_await with_timeout(
            connect_unix(address.socket, SymbolicLinks::follow), deadline, "connect"
        );
        auto channel = std::make_shared<Channel>(executor, StreamSocket(std::move(socket)), logger);
        co_await with_undo(
            channel->begin(address.id, std::move(containerd_namespace), deadline),
            [&channel] { return channel->stop(); }
        );
        co_return channel;
    } catch (const Error&) {
        rethrow_with_context("open " + address.text());
    }
}

Awaitable<> Channel::begin(std::string id, std::string containerd_namespace, Deadline deadline) {
    tasks_.spawn("streaming connection", client_.run());
    // Without a deadline of its own: that would be the stream's.
    stream_ = co_await with_timeout(
        client_.open_stream(
            service, method, {.metadata = {{namespace_key, std::move(containerd_namespace)}}}
        ),
        deadline,
        "begin the stream"
    );
    co_await with_timeout(stream_->send(encode_init(id)), deadline, "name the stream");
    const auto answer = co_await with_timeout(
        stream_->receive(), deadline, "wait for the server's word that it has the stream"
    );
    if (!answer) {
        throw Error(Code::failed_precondition, "the server ended the stream at once");
    }
}

Awaitable<> Channel::send(std::string message) {
    co_await stream_->send(std::move(message));
    co_await stream_->flush();
}

Awaitable<> Channel::stop() {
    co_await client_.stop();
    co_await tasks_.stop();
}

} // namespace cppvm::io::streaming
