#include "tests/support/fake_guest.hpp"

#include "common/wire/preamble.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

namespace cppvm::testing {

Awaitable<> FakeHypervisor::accept(StreamSocket socket) {
    std::array<std::uint8_t, wire::preamble_size> head{};
    co_await asio::async_read(socket, asio::buffer(head), asio::use_awaitable);
    const auto preamble = wire::decode_preamble(head).value();
    const std::uint8_t answer = wire::accepted;
    co_await asio::async_write(socket, asio::buffer(&answer, 1), asio::use_awaitable);
    if (preamble.kind == wire::ConnectionKind::rpc && serve_rpc) {
        co_await serve_rpc(std::move(socket));
    } else if (preamble.kind == wire::ConnectionKind::rpc) {
        co_await server_->serve_connection(std::move(socket));
    } else {
        streams.emplace(preamble.token, std::move(socket));
    }
}

} // namespace cppvm::testing
