#include "common/wire/stream_frame.hpp"
#include "guest-agent/stdio/process_io.hpp"
#include "tests/support/co_test.hpp"
#include "tests/unit/guest-agent/stdio/socket_pair.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <string_view>
#include <unistd.h>

namespace cppvm::guest {
namespace {

using cppvm::testing::co_test;

std::pair<UniqueFd, UniqueFd> make_pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

std::shared_ptr<StdioStream> make_stream(StreamSocket socket) {
    const auto executor = socket.get_executor();
    return std::make_shared<StdioStream>(executor, std::move(socket));
}

Awaitable<std::uint64_t> read_confirmation(StreamSocket& socket) {
    std::array<std::uint8_t, wire::confirmation_size> bytes{};
    co_await asio::async_read(socket, asio::buffer(bytes), asio::use_awaitable);
    co_return wire::decode_confirmation(bytes);
}

Awaitable<> write_confirmation(StreamSocket& socket, std::uint64_t received) {
    const auto bytes = wire::encode_confirmation(received);
    co_await asio::async_write(socket, asio::buffer(bytes), asio::use_awaitable);
}

Awaitable<std::string> read_frame(StreamSocket& socket) {
    std::array<std::uint8_t, wire::frame_header_size> header{};
    co_await asio::async_read(socket, asio::buffer(header), asio::use_awaitable);
    const auto size =
        wire::decode_frame_header(std::span<const std::uint8_t, wire::frame_header_size>(header));
    std::string payload(size.value(), '\0');
    co_await asio::async_read(socket, asio::buffer(payload), asio::use_awaitable);
    co_return payload;
}

Awaitable<> write_frame(StreamSocket& socket, std::uint32_t length, std::string payload) {
    const auto header = wire::encode_frame_header(length);
    co_await asio::async_write(socket, asio::buffer(header), asio::use_awaitable);
    co_await asio::async_write(socket, asio::buffer(payload), asio::use_awaitable);
}

Awaitable<bool> is_closed(StreamSocket& socket) {
    char byte = 0;
    auto [error, size] = co_await asio::async_read(socket, asio::buffer(&byte, 1), use_tuple);
    co_return static_cast<bool>(error);
}

TEST(ProcessIoTest, FramesOutputAndEndsIt) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        ProcessIo io(executor, Logger());
        auto [host, agent] = make_socket_pair(executor);
        auto [source, writer] = make_pipe();
        io.add_output(make_stream(std::move(agent)), std::move(source));
        EXPECT_EQ(::write(writer.get(), "hello", 5), 5);
        std::string payload = co_await read_frame(host);
        EXPECT_EQ(payload, "hello");
        writer.reset();
        payload = co_await read_frame(host);
        EXPECT_EQ(payload, "");
        EXPECT_EQ(io.open_streams(), 1U); // waits until the host has confirmed
        co_await write_confirmation(host, 6);
        while (io.open_streams() != 0) {
            co_await asio::post(executor, asio::use_awaitable);
        }
        co_await io.stop();
    }());
}

TEST(ProcessIoTest, ClosesThePipeWhenTheHostRefusesMore) {
    co_test([]() -> Awaitable<> {
        ::signal(SIGPIPE, SIG_IGN); // as the agent has it
        auto executor = co_await asio::this_coro::executor;
        ProcessIo io(executor, Logger());
        auto [host, agent] = make_socket_pair(executor);
        auto [source, writer] = make_pipe();
        io.add_output(make_stream(std::move(agent)), std::move(source));
        co_await write_confirmation(host, wire::stream_refused);
        while (io.open_streams() != 0) {
            co_await asio::post(executor, asio::use_awaitable);
        }
        EXPECT_EQ(::write(writer.get(), "x", 1), -1);
        EXPECT_EQ(errno, EPIPE);
        co_await io.stop();
    }());
}

TEST(ProcessIoTest, WritesInputAndClosesAtItsEnd) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        ProcessIo io(executor, Logger());
        auto [host, agent] = make_socket_pair(executor);
        auto [reader, sink] = make_pipe();
        io.add_input(make_stream(std::move(agent)), std::move(sink));
        co_await write_frame(host, 3, "abc");
        co_await write_frame(host, 0, "");
        const std::uint64_t confirmation = co_await read_confirmation(host);
        EXPECT_EQ(confirmation, 4U);
        std::array<char, 8> buffer{};
        EXPECT_EQ(::read(reader.get(), buffer.data(), buffer.size()), 3);
        EXPECT_EQ(::read(reader.get(), buffer.data(), buffer.size()), 0);
        co_await io.stop();
    }());
}

// The host was answered how much has arrived; what comes on the old connection after that it sends
// again.
TEST(ProcessIoTest, TakesNothingFromAConnectionThatWasReplaced) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        ProcessIo io(executor, Logger());
        auto [host, agent] = make_socket_pair(executor);
        auto [reader, sink] = make_pipe();
        const auto stream = make_stream(std::move(agent));
        io.add_input(stream, std::move(sink));
        co_await write_frame(host, 2, "ab");
        while (stream->received < 2) {
            co_await asio::post(executor, asio::use_awaitable);
        }
        const auto header = wire::encode_frame_header(3);
        host.write_some(asio::buffer(header));
        host.write_some(asio::buffer("old", 3));
        auto [host2, agent2] = make_socket_pair(executor);
        stream->resume(std::move(agent2), 0);
        co_await write_frame(host2, 3, "new");
        co_await write_frame(host2, 0, "");
        const std::uint64_t confirmation = co_await read_confirmation(host2);
        EXPECT_EQ(confirmation, 6U);
        std::array<char, 16> buffer{};
        const auto size = ::read(reader.get(), buffer.data(), buffer.size());
        EXPECT_EQ(std::string_view(buffer.data(), size), "abnew");
        co_await io.stop();
    }());
}

TEST(ProcessIoTest, ClosesInputThatIsTooLarge) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        ProcessIo io(executor, Logger());
        auto [host, agent] = make_socket_pair(executor);
        auto [reader, sink] = make_pipe();
        io.add_input(make_stream(std::move(agent)), std::move(sink));
        co_await write_frame(host, wire::max_frame_payload + 1, "");
        const std::uint64_t confirmation = co_await read_confirmation(host);
        EXPECT_EQ(confirmation, wire::stream_refused);
        co_await io.stop();
    }());
}

TEST(ProcessIoTest, ClosesInputWhoseReaderIsGone) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        ProcessIo io(executor, Logger());
        auto [host, agent] = make_socket_pair(executor);
        auto [reader, sink] = make_pipe();
        io.add_input(make_stream(std::move(agent)), std::move(sink));
        reader.reset();
        const std::uint64_t confirmation = co_await read_confirmation(host);
        EXPECT_EQ(confirmation, wire::stream_refused);
        co_await io.stop();
    }());
}

TEST(ProcessIoTest, SendsAgainOnTheNextConnection) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        ProcessIo io(executor, Logger());
        auto [host, agent] = make_socket_pair(executor);
        auto [host2, agent2] = make_socket_pair(executor);
        auto [source, writer] = make_pipe();
        const auto stream = make_stream(std::move(agent));
        io.add_output(stream, std::move(source));
        EXPECT_EQ(::write(writer.get(), "hello", 5), 5);
        std::string payload = co_await read_frame(host);
        EXPECT_EQ(payload, "hello");
        host.close();
        stream->resume(std::move(agent2), 2);
        payload = co_await read_frame(host2);
        EXPECT_EQ(payload, "llo");
        writer.reset();
        payload = co_await read_frame(host2);
        EXPECT_EQ(payload, "");
        co_await write_confirmation(host2, 6);
        co_await io.wait_ended();
        co_await io.stop();
    }());
}

TEST(ProcessIoTest, TakesInputFromTheNextConnection) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        ProcessIo io(executor, Logger());
        auto [host, agent] = make_socket_pair(executor);
        auto [host2, agent2] = make_socket_pair(executor);
        auto [reader, sink] = make_pipe();
        const auto stream = make_stream(std::move(agent));
        io.add_input(stream, std::move(sink));
        co_await write_frame(host, 5, "abc"); // a part of a frame
        while (stream->received != 3) {
            co_await asio::post(executor, asio::use_awaitable);
        }
        host.close();
        stream->resume(std::move(agent2), 0);
        co_await write_frame(host2, 2, "de");
        co_await write_frame(host2, 0, "");
        const std::uint64_t confirmation = co_await read_confirmation(host2);
        EXPECT_EQ(confirmation, 6U);
        std::array<char, 8> buffer{};
        EXPECT_EQ(::read(reader.get(), buffer.data(), buffer.size()), 5);
        EXPECT_EQ(std::string(buffer.data(), 5), "abcde");
        co_await io.stop();
    }());
}

TEST(ProcessIoTest, StopsWhateverIsUnderWay) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        ProcessIo io(executor, Logger());
        auto [host, agent] = make_socket_pair(executor);
        auto [host2, agent2] = make_socket_pair(executor);
        auto [reader, sink] = make_pipe();
        auto [source, writer] = make_pipe();
        io.add_input(make_stream(std::move(agent)), std::move(sink));
        io.add_output(make_stream(std::move(agent2)), std::move(source));
        co_await asio::post(executor, asio::use_awaitable);
        co_await io.stop();
        EXPECT_EQ(io.open_streams(), 0U);
        const bool closed = co_await is_closed(host);
        EXPECT_TRUE(closed);
        const bool closed2 = co_await is_closed(host2);
        EXPECT_TRUE(closed2);
    }());
}

} // namespace
} // namespace cppvm::guest
