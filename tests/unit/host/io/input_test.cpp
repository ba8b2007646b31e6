#include "tests/unit/host/io/io_fixture.hpp"

#include <cerrno>

namespace cppvm::io {
namespace {

using InputTest = ProcessIoTest;

TEST_F(InputTest, CarriesEightMebibytesWhole) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{fifo("in"), "", "", false};
        const std::string data = noise(8 << 20);
        auto io = co_await start(spec);
        EXPECT_FALSE(io->has_stdout() || io->has_stderr());
        TaskGroup tasks(executor, log.logger());
        tasks.spawn("client", [](std::string path, std::string bytes) -> Awaitable<> {
            auto loop = co_await asio::this_coro::executor;
            ClientEnd client(loop, path, O_WRONLY);
            co_await client.send(bytes);
        }(spec.stdin_uri, data));
        const std::string received = co_await guest_in->receive_bytes(data.size());
        EXPECT_TRUE(received == data);
        co_await tasks.join();
        io->close_stdin();
        const std::string end = co_await guest_in->receive();
        EXPECT_EQ(end, "");
        co_await io->stop();
    }());
}

// Its owner closes it while what it has given is still being sent.
TEST_F(InputTest, TellsThatItIsClosedFromAFailureToRead) {
    run([this]() -> Awaitable<> {
        InputFifo input(co_await asio::this_coro::executor, PathHandle("stdin", fifo("in")));
        input.close();
        std::array<std::byte, 8> room{};
        EXPECT_THROW(input.read_some(room), boost::system::system_error);
    }());
}

TEST_F(InputTest, DoesNotEndWhenAClientGoesAndTakesTheNextOne) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{fifo("in"), "", "", false};
        auto io = co_await start(spec);
        for (const std::string text : {"first", "second", "third"}) {
            ClientEnd client(executor, spec.stdin_uri, O_WRONLY);
            co_await client.send(text);
            const std::string received = co_await guest_in->receive();
            EXPECT_EQ(received, text);
        }
        io->close_stdin();
        io->close_stdin();
        const std::string end = co_await guest_in->receive();
        EXPECT_EQ(end, "");
        co_await io->stop();
    }());
}

TEST_F(InputTest, EndsAfterCloseOnlyOnceTheClientHasGoneAndAllIsRead) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{fifo("in"), "", "", false};
        auto io = co_await open(spec);
        std::optional<ClientEnd> client;
        client.emplace(executor, spec.stdin_uri, O_WRONLY);
        co_await client->send("written before the guest was there");
        io->close_stdin();
        io->attach(make_stream(executor, guest_in), std::nullopt, std::nullopt);
        const std::string text = co_await guest_in->receive();
        EXPECT_EQ(text, "written before the guest was there");
        co_await client->send("and after");
        const std::string more = co_await guest_in->receive();
        EXPECT_EQ(more, "and after");
        client.reset();
        const std::string end = co_await guest_in->receive();
        EXPECT_EQ(end, "");
        co_await io->stop();
    }());
}

TEST_F(InputTest, ClosesTheFifoWhenTheProcessReadsNoMore) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{fifo("in"), "", "", false};
        ClientEnd holder(executor, spec.stdin_uri, O_RDWR);
        auto io = co_await start(spec);
        guest_in->close();
        // The only reader left is our own descriptor: filling it up does not end.
        const std::size_t before = open_descriptors();
        while (open_descriptors() > before - 3) { // its two ends and the connection
            co_await asio::post(executor, asio::use_awaitable);
        }
        co_await io->stop();
    }());
}

TEST_F(InputTest, SendsAgainWhatTheGuestHasNotGot) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        can_resume = true;
        guest_received = 3;
        const StdioSpec spec{fifo("in"), "", "", false};
        auto io = co_await start(spec);
        std::optional<ClientEnd> client;
        client.emplace(executor, spec.stdin_uri, O_WRONLY);
        co_await client->send("abcdef");
        guest_in->close();
        while (resumed_at.empty()) {
            co_await asio::post(executor, asio::use_awaitable);
        }
        EXPECT_EQ(resumed_at, (std::vector<std::uint64_t>{0}));
        guest_in->received = guest_received;
        const std::string rest = co_await guest_in->receive_bytes(3);
        EXPECT_EQ(rest, "def");
        io->close_stdin();
        client.reset();
        const std::string end = co_await guest_in->receive();
        EXPECT_EQ(end, "");
        co_await guest_in->wait_closed();
        co_await io->stop();
    }());
}

TEST_F(InputTest, GivesAClientABrokenPipeAfterThat) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{fifo("in"), "", "", false};
        auto io = co_await start(spec);
        ClientEnd client(executor, spec.stdin_uri, O_WRONLY);
        guest_in->close();
        boost::system::error_code error;
        while (!error) {
            auto [failure, size] =
                co_await client.stream.async_write_some(asio::buffer("x", 1), use_tuple);
            error = failure;
            co_await asio::post(executor, asio::use_awaitable);
        }
        EXPECT_EQ(error, asio::error::broken_pipe);
        co_await io->stop();
    }());
}

TEST_F(InputTest, HoldsAClientUpWhileTheGuestDoesNotRead) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{fifo("in"), fifo("out"), "", false};
        auto io = co_await start(spec);
        ClientEnd client(executor, spec.stdin_uri, O_WRONLY);
        const std::string piece = noise(4096);
        std::string sent;
        client.stream.non_blocking(true);
        for (int full = 0; full < 100;) {
            boost::system::error_code error;
            client.stream.write_some(asio::buffer(piece), error);
            if (!error) {
                sent += piece; // PIPE_BUF: all or nothing
            }
            full = error == asio::error::would_block ? full + 1 : 0;
            co_await asio::post(executor, asio::use_awaitable);
        }
        EXPECT_LT(sent.size(), 16u << 20);
        const std::string received = co_await guest_in->receive_bytes(sent.size());
        EXPECT_TRUE(received == sent);
        co_await io->stop();
    }());
}

TEST_F(InputTest, IsOverWhenTheGuestSendsOnIt) {
    run([this]() -> Awaitable<> {
        const StdioSpec spec{fifo("in"), "", "", false};
        auto io = co_await start(spec);
        co_await guest_in->send("nonsense");
        co_await guest_in->wait_closed();
        co_await io->stop();
    }());
}

TEST_F(InputTest, EndsWhenTheProcessHasExited) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{fifo("in"), fifo("out"), "", false};
        auto io = co_await start(spec);
        ClientEnd client(executor, spec.stdin_uri, O_WRONLY);
        ClientEnd out(executor, spec.stdout_uri, O_RDONLY);
        co_await guest_out->send_stream("");
        const bool complete = co_await io->drained(deadline_in(std::chrono::seconds(5)));
        EXPECT_TRUE(complete);
        boost::system::error_code error;
        client.stream.write_some(asio::buffer("x", 1), error);
        EXPECT_EQ(error, asio::error::broken_pipe);
        co_await guest_in->wait_closed();
        co_await io->stop();
    }());
}

TEST_F(InputTest, ReadsADevice) {
    run([this]() -> Awaitable<> {
        auto io = co_await start({"/dev/null", "/dev/null", "", false});
        const std::string end = co_await guest_in->receive();
        EXPECT_EQ(end, "");
        co_await guest_out->send_stream("into the void");
        co_await io->stop();
        EXPECT_FALSE(log.has("level=warning")) << log.text();
    }());
}

} // namespace
} // namespace cppvm::io
