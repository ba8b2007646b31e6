// A whole server connection, with a unary and a streaming method, fed with the input as its peer's
// bytes. It has to answer what it likes, and to end without leaving work on the loop.

#include "common/base/assert.hpp"
#include "common/ttrpc/server.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace {

using namespace cppvm;

class ShortService : public ttrpc::Service {
  public:
    std::string_view name() const override { return "s"; }
    Awaitable<std::string> dispatch(
        ttrpc::CallContext& /*context*/, std::string_view method, std::string_view payload
    ) override {
        if (method != "u") {
            ttrpc::throw_unknown_method(method);
        }
        co_return std::string(payload);
    }
    Awaitable<> stream(
        ttrpc::CallContext& /*context*/, std::string_view /*method*/, ttrpc::Stream& stream
    ) override {
        while (auto message = co_await stream.receive()) {
            co_await stream.send(std::move(*message));
        }
    }
    bool is_streaming(std::string_view method) const override { return method == "d"; }
};

Awaitable<> write_input(StreamSocket& peer, std::string_view bytes) {
    co_await asio::async_write(peer, asio::buffer(bytes), use_tuple);
    boost::system::error_code ignored;
    peer.shutdown(StreamSocket::shutdown_send, ignored);
}

Awaitable<> drop_replies(StreamSocket& peer) {
    std::array<char, 4096> buffer{};
    for (;;) {
        auto [error, size] = co_await peer.async_read_some(asio::buffer(buffer), use_tuple);
        if (error) {
            co_return;
        }
    }
}

Awaitable<> serve(ttrpc::Server& server, StreamSocket socket) {
    co_await server.serve_connection(std::move(socket));
    co_await server.stop();
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    asio::io_context loop;
    asio::local::stream_protocol::socket one(loop);
    asio::local::stream_protocol::socket other(loop);
    asio::local::connect_pair(one, other);
    StreamSocket peer(std::move(one));
    ShortService service;
    ttrpc::Server server(loop.get_executor(), {});
    server.add(service);
    const auto rethrow = [](const std::exception_ptr& exception) {
        if (exception) {
            std::rethrow_exception(exception);
        }
    };
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    asio::co_spawn(loop, serve(server, StreamSocket(std::move(other))), rethrow);
    asio::co_spawn(loop, write_input(peer, bytes), rethrow);
    asio::co_spawn(loop, drop_replies(peer), rethrow);
    loop.run();
    return 0;
}
