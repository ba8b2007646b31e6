// The side that faces the guest: the input is what the peer answers to three calls of a client, the
// last of them a stream. Each call has to end, with an answer or an Error, and to leave no work on
// the loop.

#include "common/async/task_group.hpp"
#include "common/base/assert.hpp"
#include "common/base/error.hpp"
#include "common/ttrpc/client.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace {

using namespace cppvm;

struct Trial {
    explicit Trial(asio::io_context& loop, StreamSocket socket)
        : client(std::move(socket), Logger()), tasks(loop.get_executor(), Logger()) {}

    ttrpc::Client client;
    int ended = 0;
    std::size_t received = 0; // bytes of messages
    TaskGroup tasks;
};

void check_failure(const Error& error) {
    CPPVM_ASSERT(error.code() != Code::ok); // its text may be the peer's, and empty
}

Awaitable<> call(Trial& trial) {
    try {
        trial.received += (co_await trial.client.call("s", "u", "request")).size();
    } catch (const Error& error) {
        check_failure(error);
    }
    ++trial.ended;
}

Awaitable<> read_stream(Trial& trial) {
    try {
        const auto stream = co_await trial.client.open_replies("s", "d", "request");
        while (const auto message = co_await stream->receive()) {
            trial.received += message->size();
        }
        CPPVM_ASSERT(!co_await stream->receive()); // the end stays the end
    } catch (const Error& error) {
        check_failure(error);
    }
    ++trial.ended;
}

Awaitable<> write_input(StreamSocket& peer, std::string_view bytes) {
    co_await asio::async_write(peer, asio::buffer(bytes), use_tuple);
    boost::system::error_code ignored;
    peer.shutdown(StreamSocket::shutdown_send, ignored);
}

Awaitable<> drop_requests(StreamSocket& peer) {
    std::array<char, 4096> buffer{};
    for (;;) {
        auto [error, size] = co_await peer.async_read_some(asio::buffer(buffer), use_tuple);
        if (error) {
            co_return;
        }
    }
}

Awaitable<> run(Trial& trial) {
    trial.tasks.spawn("client", trial.client.run());
    trial.tasks.spawn("first", call(trial));
    trial.tasks.spawn("second", call(trial));
    trial.tasks.spawn("stream", read_stream(trial));
    co_await trial.tasks.join();
    co_await trial.client.stop();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    asio::io_context loop;
    asio::local::stream_protocol::socket one(loop);
    asio::local::stream_protocol::socket other(loop);
    asio::local::connect_pair(one, other);
    StreamSocket peer(std::move(one));
    Trial trial(loop, StreamSocket(std::move(other)));
    const auto rethrow = [](const std::exception_ptr& exception) {
        if (exception) {
            std::rethrow_exception(exception);
        }
    };
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    asio::co_spawn(loop, run(trial), rethrow);
    asio::co_spawn(loop, write_input(peer, bytes), rethrow);
    asio::co_spawn(loop, drop_requests(peer), rethrow);
    loop.run();
    constexpr int calls = 3;
    CPPVM_ASSERT(trial.ended == calls);
    CPPVM_ASSERT(trial.received <= size);
    return 0;
}
