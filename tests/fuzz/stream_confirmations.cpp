// The other direction of a stdio stream: whatever a receiver confirms, the sender ends, and gives
// each connection what it has not confirmed.

#include "common/base/assert.hpp"
#include "common/stream/stream_sender.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>

namespace {

using namespace cppvm;

constexpr std::size_t max_part = 64; // what a socket buffer surely takes

} // namespace

// Each byte of `data` below 64 begins a connection that says so many of the bytes after it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    asio::io_context loop;
    std::span<const std::uint8_t> rest(data, size);
    std::uint8_t left = size > 0 ? data[0] : 0;
    const auto connect = [&]() -> Awaitable<std::optional<stream::Connection>> {
        if (rest.empty()) {
            co_return std::nullopt;
        }
        const std::size_t said = std::min<std::size_t>(rest[0] % max_part, rest.size() - 1);
        const std::uint64_t received = rest[0] / max_part;
        asio::local::stream_protocol::socket ours(loop);
        asio::local::stream_protocol::socket theirs(loop);
        asio::local::connect_pair(ours, theirs);
        asio::write(theirs, asio::buffer(rest.data() + 1, said));
        rest = rest.subspan(1 + said);
        co_return stream::Connection{std::make_shared<StreamSocket>(std::move(ours)), received};
    };
    const auto read = [&](stream::SentBytes& bytes) -> Awaitable<bool> {
        const std::size_t count = std::min<std::size_t>(left, bytes.room().size());
        std::fill_n(bytes.room().begin(), count, std::byte{1});
        bytes.commit(count);
        left = static_cast<std::uint8_t>(left - count);
        co_return count > 0;
    };
    stream::StreamSender sender(loop.get_executor(), 16);
    bool ended = false;
    asio::co_spawn(
        loop,
        sender.run(read, connect),
        [&ended](const std::exception_ptr& failure, stream::StreamSender::End) {
            CPPVM_ASSERT(!failure);
            ended = true;
        }
    );
    loop.run();
    CPPVM_ASSERT(ended);
    return 0;
}
