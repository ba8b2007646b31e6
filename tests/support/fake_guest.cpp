#include "tests/support/fake_guest.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <utility>

namespace cppvm::testing {

void FakeHypervisor::make_server() {
    server_ = std::make_unique<ttrpc::Server>(executor_, Logger());
    server_->add(agent);
}

Awaitable<> FakeHypervisor::cut() {
    const auto cut = std::exchange(server_, nullptr);
    make_server();
    co_await cut->stop();
}

Awaitable<> FakeHypervisor::accept(StreamSocket socket) {
    std::array<std::uint8_t, wire::preamble_size> head{};
    co_await asio::async_read(socket, asio::buffer(head), asio::use_awaitable);
    const auto preamble = wire::decode_preamble(head).value();
    wire::PreambleAnswer answer{true, 0};
    if (preamble.kind == wire::ConnectionKind::resume) {
        answer = on_resume(preamble);
    }
    const auto bytes = wire::encode(answer);
    co_await asio::async_write(socket, asio::buffer(bytes), asio::use_awaitable);
    if (!answer.accepted) {
        co_return;
    }
    if (preamble.kind == wire::ConnectionKind::rpc && serve_rpc) {
        co_await serve_rpc(std::move(socket));
    } else if (preamble.kind == wire::ConnectionKind::rpc) {
        co_await server_->serve_connection(std::move(socket));
    } else {
        streams.insert_or_assign(preamble.stream, std::move(socket));
    }
}

} // namespace cppvm::testing
