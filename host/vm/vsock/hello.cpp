#include "host/vm/vsock/hello.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/wire/ports.hpp"
#include "common/wire/preamble.hpp"
#include "proto/cppvm/agent.pb.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/endian/conversion.hpp>

#include <array>

namespace cppvm::vm {

namespace {

constexpr std::size_t max_text_bytes = 128;
constexpr int max_phases = 32;
constexpr std::chrono::seconds close_timeout{1};

std::string printable(const std::string& text) {
    std::string shown = text.substr(0, max_text_bytes);
    for (char& c : shown) {
        c = c > ' ' && c < 0x7f ? c : '?';
    }
    return shown;
}

Awaitable<std::string> read_body(StreamSocket& socket) {
    std::array<unsigned char, 4> header{};
    co_await asio::async_read(socket, asio::buffer(header), asio::use_awaitable);
    const std::uint32_t length = boost::endian::load_big_u32(header.data());
    if (length > wire::max_hello_bytes) {
        throw Error(
            Code::unavailable, "read hello: " + std::to_string(length) + " bytes are too many"
        );
    }
    std::string body(length, '\0');
    co_await asio::async_read(socket, asio::buffer(body), asio::use_awaitable);
    co_return body;
}

Awaitable<AgentHello> exchange(StreamSocket& socket) {
    const std::string body = co_await read_body(socket);
    AgentHello hello = decode_hello(body);
    const std::uint8_t answer = wire::accepted;
    co_await asio::async_write(socket, asio::buffer(&answer, 1), asio::use_awaitable);
    co_return hello;
}

// The reader of the last byte closes first (docs/adr/0002).
Awaitable<> wait_close(StreamSocket& socket) {
    char byte = 0;
    co_await socket.async_read_some(asio::buffer(&byte, 1), use_tuple);
}

// A guest that keeps it open gets it closed.
Awaitable<> wait_close_for_a_while(StreamSocket& socket) {
    try {
        co_await with_timeout(wait_close(socket), deadline_in(close_timeout), "close hello");
    } catch (const Error&) { // NOLINT(bugprone-empty-catch)
    }
}

} // namespace

AgentHello decode_hello(std::string_view body) {
    agent::v2::Hello message;
    if (!message.ParseFromArray(body.data(), static_cast<int>(body.size())) ||
        message.phases_size() > max_phases) {
        throw Error(Code::unavailable, "read hello: malformed");
    }
    AgentHello hello;
    hello.protocol_version = message.protocol_version();
    hello.build_id = printable(message.build_id());
    hello.kernel_release = printable(message.kernel_release());
    for (const auto& phase : message.phases()) {
        hello.phases_us.emplace_back(printable(phase.name()), phase.ended_at_us());
    }
    return hello;
}

Awaitable<AgentHello> receive_hello(Vsock& vsock) {
    for (;;) {
        StreamSocket socket = co_await vsock.accept();
        try {
            AgentHello hello = co_await exchange(socket);
            co_await wait_close_for_a_while(socket);
            co_return hello;
        } catch (const boost::system::system_error& error) {
            // On a busy host the guest's kernel gives up a connection that took too long to make,
            // and the agent makes another.
            if (error.code() == asio::error::operation_aborted) {
                throw;
            }
        }
    }
}

} // namespace cppvm::vm
