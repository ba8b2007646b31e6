#pragma once

#include "common/async/timeout.hpp"
#include "common/ttrpc/envelope.hpp"
#include "common/ttrpc/frame.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <utility>

namespace cppvm::ttrpc::testing {

/// One end of a connection whose bytes the test writes and reads itself.
class RawPeer {
  public:
    explicit RawPeer(StreamSocket socket) : socket_(std::move(socket)) {}

    Awaitable<> send(std::string bytes) {
        co_await asio::async_write(socket_, asio::buffer(bytes), asio::use_awaitable);
    }

    Awaitable<> send_request(std::uint32_t stream, Request request, std::uint8_t flags = 0) {
        co_await send(encode_request(stream, flags, std::move(request)));
    }

    Awaitable<> send_echo(std::uint32_t stream, std::string payload) {
        Request request;
        request.service = "test.v1.Echo";
        request.method = "Echo";
        request.payload = std::move(payload);
        co_await send_request(stream, std::move(request));
    }

    /// The next frame; nothing at the end of the connection.
    Awaitable<std::optional<Frame>> receive() {
        for (;;) {
            if (auto frame = decoder_.next(rest_)) {
                co_return frame;
            }
            auto [error, size] = co_await socket_.async_read_some(asio::buffer(buffer_), use_tuple);
            if (error) {
                co_return std::nullopt;
            }
            rest_ = std::string_view(buffer_.data(), size);
        }
    }

    /// The next frame as a response, with its stream. Status internal when it is none.
    Awaitable<std::pair<std::uint32_t, Response>> receive_response() {
        const auto frame = co_await receive();
        Response none;
        none.status = {Code::internal, "no response"};
        if (!frame || frame->header.type != FrameType::response) {
            co_return std::pair(0U, none);
        }
        auto response = decode_response(frame->payload);
        co_return std::pair(frame->header.stream, response ? std::move(*response) : none);
    }

    void close() { socket_.close(); }
    StreamSocket& socket() { return socket_; }

  private:
    StreamSocket socket_;
    FrameDecoder decoder_;
    std::array<char, 4096> buffer_{};
    std::string_view rest_;
};

/// The connection answers another call: it survived what came before.
inline Awaitable<> expect_alive(RawPeer& peer, std::uint32_t stream) {
    co_await peer.send_echo(stream, "alive");
    const auto [id, response] = co_await peer.receive_response();
    EXPECT_EQ(id, stream);
    EXPECT_EQ(response.payload, "alive");
}

} // namespace cppvm::ttrpc::testing
