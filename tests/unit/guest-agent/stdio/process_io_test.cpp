#include "common/os/pipe.hpp"
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

/// One stream between a process and the host.
struct StreamBench {
    explicit StreamBench(const asio::any_io_executor& executor)
        : io(executor, Logger()), host(executor) {
        auto [ours, agents] = make_socket_pair(executor);
        host = std::move(ours);
        stream = make_stream(std::move(agents));
    }

    ProcessIo io;
    StreamSocket host;
    std::shared_ptr<StdioStream> stream;
    Pipe pipe = make_pipe("the test");
};

/// A process whose input comes from the host.
struct InputBench : StreamBench {
    explicit InputBench(const asio::any_io_executor& executor) : StreamBench(executor) {
        io.add_input(stream, std::move(pipe.write));
    }

    UniqueFd reader = std::move(pipe.read); ///< the process's end
};

/// A process whose output goes to the host.
struct OutputBench : StreamBench {
    explicit OutputBench(const asio::any_io_executor& executor) : StreamBench(executor) {
        io.add_output(stream, std::move(pipe.read));
    }

    UniqueFd writer = std::move(pipe.write); ///< the process's end
};

TEST(ProcessIoTest, FramesOutputAndEndsIt) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        OutputBench bench(executor);
        EXPECT_EQ(::write(bench.writer.get(), "hello", 5), 5);
        std::string payload = co_await read_frame(bench.host);
        EXPECT_EQ(payload, "hello");
        bench.writer.reset();
        payload = co_await read_frame(bench.host);
        EXPECT_EQ(payload, "");
        EXPECT_EQ(bench.io.open_streams(), 1U); // waits until the host has confirmed
        co_await write_confirmation(bench.host, 6);
        while (bench.io.open_streams() != 0) {
            co_await asio::post(executor, asio::use_awaitable);
        }
        co_await bench.io.stop();
    }());
}

TEST(ProcessIoTest, ClosesThePipeWhenTheHostRefusesMore) {
    co_test([]() -> Awaitable<> {
        ::signal(SIGPIPE, SIG_IGN); // as the agent has it
        auto executor = co_await asio::this_coro::executor;
        OutputBench bench(executor);
        co_await write_confirmation(bench.host, wire::stream_refused);
        while (bench.io.open_streams() != 0) {
            co_await asio::post(executor, asio::use_awaitable);
        }
        EXPECT_EQ(::write(bench.writer.get(), "x", 1), -1);
        EXPECT_EQ(errno, EPIPE);
        co_await bench.io.stop();
    }());
}

TEST(ProcessIoTest, WritesInputAndClosesAtItsEnd) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        InputBench bench(executor);
        co_await write_frame(bench.host, 3, "abc");
        co_await write_frame(bench.host, 0, "");
        const std::uint64_t confirmation = co_await read_confirmation(bench.host);
        EXPECT_EQ(confirmation, 4U);
        std::array<char, 8> buffer{};
        EXPECT_EQ(::read(bench.reader.get(), buffer.data(), buffer.size()), 3);
        EXPECT_EQ(::read(bench.reader.get(), buffer.data(), buffer.size()), 0);
        co_await bench.io.stop();
    }());
}

// The host was answered how much has arrived; what comes on the old connection after that it sends
// again.
TEST(ProcessIoTest, TakesNothingFromAConnectionThatWasReplaced) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        InputBench bench(executor);
        co_await write_frame(bench.host, 2, "ab");
        while (bench.stream->received < 2) {
            co_await asio::post(executor, asio::use_awaitable);
        }
        const auto header = wire::encode_frame_header(3);
        bench.host.write_some(asio::buffer(header));
        bench.host.write_some(asio::buffer("old", 3));
        auto [host2, agent2] = make_socket_pair(executor);
        bench.stream->resume(std::move(agent2), 0);
        co_await write_frame(host2, 3, "new");
        co_await write_frame(host2, 0, "");
        const std::uint64_t confirmation = co_await read_confirmation(host2);
        EXPECT_EQ(confirmation, 6U);
        std::array<char, 16> buffer{};
        const auto size = ::read(bench.reader.get(), buffer.data(), buffer.size());
        EXPECT_EQ(std::string_view(buffer.data(), size), "abnew");
        co_await bench.io.stop();
    }());
}

TEST(ProcessIoTest, ClosesInputThatIsTooLarge) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        InputBench bench(executor);
        co_await write_frame(bench.host, wire::max_frame_payload + 1, "");
        const std::uint64_t confirmation = co_await read_confirmation(bench.host);
        EXPECT_EQ(confirmation, wire::stream_refused);
        co_await bench.io.stop();
    }());
}

TEST(ProcessIoTest, ClosesInputWhoseReaderIsGone) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        InputBench bench(executor);
        bench.reader.reset();
        const std::uint64_t confirmation = co_await read_confirmation(bench.host);
        EXPECT_EQ(confirmation, wire::stream_refused);
        co_await bench.io.stop();
    }());
}

TEST(ProcessIoTest, SendsAgainOnTheNextConnection) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        OutputBench bench(executor);
        auto [host2, agent2] = make_socket_pair(executor);
        EXPECT_EQ(::write(bench.writer.get(), "hello", 5), 5);
        std::string payload = co_await read_frame(bench.host);
        EXPECT_EQ(payload, "hello");
        bench.host.close();
        bench.stream->resume(std::move(agent2), 2);
        payload = co_await read_frame(host2);
        EXPECT_EQ(payload, "llo");
        bench.writer.reset();
        payload = co_await read_frame(host2);
        EXPECT_EQ(payload, "");
        co_await write_confirmation(host2, 6);
        co_await bench.io.wait_ended();
        co_await bench.io.stop();
    }());
}

TEST(ProcessIoTest, TakesInputFromTheNextConnection) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        InputBench bench(executor);
        auto [host2, agent2] = make_socket_pair(executor);
        co_await write_frame(bench.host, 5, "abc"); // a part of a frame
        bench.host.close();
        while (bench.stream->received != 3) {
            co_await asio::post(executor, asio::use_awaitable);
        }
        bench.stream->resume(std::move(agent2), 0);
        co_await write_frame(host2, 2, "de");
        co_await write_frame(host2, 0, "");
        const std::uint64_t confirmation = co_await read_confirmation(host2);
        EXPECT_EQ(confirmation, 6U);
        std::array<char, 8> buffer{};
        EXPECT_EQ(::read(bench.reader.get(), buffer.data(), buffer.size()), 5);
        EXPECT_EQ(std::string(buffer.data(), 5), "abcde");
        co_await bench.io.stop();
    }());
}

TEST(ProcessIoTest, StopsWhateverIsUnderWay) {
    co_test([]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        ProcessIo io(executor, Logger());
        auto [host, agent] = make_socket_pair(executor);
        auto [host2, agent2] = make_socket_pair(executor);
        auto [reader, sink] = make_pipe("the test");
        auto [source, writer] = make_pipe("the test");
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
