#include "common/stream/relay.hpp"

#include "common/async/all_of.hpp"
#include "common/base/scope_exit.hpp"
#include "common/stream/frame_writer.hpp"
#include "common/wire/stream_frame.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <memory>
#include <vector>

namespace cppvm::stream {

namespace {

constexpr std::size_t buffer_size = wire::max_frame_payload;

// No buffer is held while the sender is silent.
Awaitable<> frame_all(StreamSocket& from, StreamSocket& to) {
    for (;;) {
        co_await from.async_wait(asio::socket_base::wait_read, asio::use_awaitable);
        const auto buffer = std::make_unique_for_overwrite<std::uint8_t[]>(buffer_size);
        auto [error, size] =
            co_await from.async_read_some(asio::buffer(buffer.get(), buffer_size), use_tuple);
        if (error && error != asio::error::eof) {
            throw boost::system::system_error(error);
        }
        co_await write_frame(to, asio::buffer(buffer.get(), size)); // an empty one is the end
        if (error) {
            co_return;
        }
    }
}

Awaitable<> unframe_all(StreamSocket& from, StreamSocket& to) {
    for (;;) {
        std::array<std::uint8_t, wire::frame_header_size> header{};
        co_await asio::async_read(from, asio::buffer(header), asio::use_awaitable);
        const std::uint32_t length = wire::decode_frame_header(header).value();
        if (length == 0) {
            to.shutdown(asio::socket_base::shutdown_send);
            co_return;
        }
        const auto buffer = std::make_unique_for_overwrite<std::uint8_t[]>(length);
        const auto payload = asio::buffer(buffer.get(), length);
        co_await asio::async_read(from, payload, asio::use_awaitable);
        co_await asio::async_write(to, payload, asio::use_awaitable);
    }
}

} // namespace

// By close: the destructor takes the option back.
void reset(StreamSocket& tcp) noexcept {
    boost::system::error_code ignored;
    tcp.set_option(asio::socket_base::linger(true, 0), ignored);
    tcp.close(ignored);
}

Awaitable<> relay(StreamSocket& framed, StreamSocket& tcp) {
    ScopeExit break_off([&] { reset(tcp); });
    try {
        std::vector<Awaitable<>> directions;
        directions.push_back(frame_all(tcp, framed));
        directions.push_back(unframe_all(framed, tcp));
        co_await all_of(std::move(directions));
        break_off.release();
    } catch (const boost::system::system_error& error) {
        if (error.code() == asio::error::operation_aborted) {
            throw;
        }
    }
}

} // namespace cppvm::stream
