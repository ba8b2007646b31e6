#include "common/stream/name_connection.hpp"

#include "common/async/all_of.hpp"
#include "common/stream/frame_writer.hpp"
#include "common/wire/stream_frame.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/read.hpp>

#include <array>
#include <utility>
#include <vector>

namespace cppvm::stream {

namespace {

constexpr std::size_t max_queue = 256;

} // namespace

NameConnection::NameConnection(StreamSocket socket)
    : socket_(std::move(socket)), more_(socket_.get_executor()) {}

void NameConnection::send(const wire::NameMessage& message) {
    std::string payload = wire::encode(message);
    if (queue_.size() < max_queue && payload.size() <= wire::max_frame_payload) {
        queue_.push_back(std::move(payload));
        more_.set();
    }
}

Awaitable<> NameConnection::run(std::function<void(wire::NameMessage)> hear) {
    try {
        std::vector<Awaitable<>> directions;
        directions.push_back(write_all());
        directions.push_back(read_all(hear));
        co_await all_of(std::move(directions));
    } catch (const boost::system::system_error& error) {
        if (error.code() == asio::error::operation_aborted) {
            throw;
        }
    }
}

Awaitable<> NameConnection::write_all() {
    for (;;) {
        more_.clear();
        while (!queue_.empty()) {
            const std::string payload = std::move(queue_.front());
            queue_.pop_front();
            co_await write_frame(socket_, asio::buffer(payload));
        }
        co_await more_.wait();
    }
}

Awaitable<> NameConnection::read_all(const std::function<void(wire::NameMessage)>& hear) {
    for (;;) {
        std::array<std::uint8_t, wire::frame_header_size> header{};
        co_await asio::async_read(socket_, asio::buffer(header), asio::use_awaitable);
        std::string payload(wire::decode_frame_header(header).value(), '\0');
        co_await asio::async_read(socket_, asio::buffer(payload), asio::use_awaitable);
        hear(wire::decode_name_message(payload).value());
    }
}

} // namespace cppvm::stream
