// A process's stdio at a streaming server, from ProcessIo's point of view.

#include "common/async/with_undo.hpp"
#include "tests/support/fake_streaming_server.hpp"
#include "tests/unit/host/io/io_fixture.hpp"

namespace cppvm::io {
namespace {

using testing::FakeStreamingServer;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::chrono::seconds soon{10};

class StreamingTest : public ProcessIoTest {
  protected:
    using Body = std::function<Awaitable<>(FakeStreamingServer&)>;

    std::string path(const std::string& name) const { return (dir / name).native(); }

    void with_server(Body body) { run(serve(std::move(body))); }

  private:
    Awaitable<> serve(Body body) {
        FakeStreamingServer server(co_await asio::this_coro::executor, path("streams"));
        co_await with_undo(body(server), [&] { return server.stop(); });
        co_await server.stop();
    }
};

TEST_F(StreamingTest, CarriesOutputWholeAndTellsItsEnd) {
    with_server([this](FakeStreamingServer& server) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const std::string data = noise(8 << 20);
        auto io = co_await start({"", server.uri("box-stdout"), server.uri("box-stderr"), false});
        EXPECT_FALSE(io->has_stdin());
        auto out = co_await server.accept("box-stdout");
        auto err = co_await server.accept("box-stderr");
        EXPECT_EQ(out->containerd_namespace, "default");
        TaskGroup tasks(executor, log.logger());
        tasks.spawn("guest", guest_out->send_stream(data));
        tasks.spawn("guest", guest_err->send_stream("to err"));
        const std::string err_text = co_await err->receive_all();
        EXPECT_EQ(err_text, "to err");
        const std::string received = co_await out->receive_all();
        EXPECT_TRUE(received == data);
        EXPECT_EQ(out->largest, 32u << 10);
        const bool complete = co_await io->drained(deadline_in(soon));
        EXPECT_TRUE(complete);
        out->end();
        err->end();
        co_await tasks.join();
        co_await io->stop();
        EXPECT_THAT(log.text(), Not(HasSubstr("level=warn")));
    });
}

// `ctr run --log-uri` gives both streams the same address.
TEST_F(StreamingTest, PutsBothStreamsIntoOneThatEndsWithTheSecond) {
    with_server([this](FakeStreamingServer& server) -> Awaitable<> {
        auto io = co_await start({"", server.uri("log"), server.uri("log"), false});
        auto log_stream = co_await server.accept("log");
        co_await log_stream->grant(1000);
        co_await guest_out->send_stream("to out");
        const std::string first = co_await log_stream->receive_data();
        EXPECT_EQ(first, "to out");
        co_await guest_err->send_stream("to err");
        const std::string second = co_await log_stream->receive_data();
        EXPECT_EQ(second, "to err");
        const std::string end = co_await log_stream->receive_data();
        EXPECT_EQ(end, "");
        log_stream->end();
        co_await io->stop();
    });
}

TEST_F(StreamingTest, FailsToOpenAStreamThatTheServerDoesNotKnow) {
    with_server([this](FakeStreamingServer& server) -> Awaitable<> {
        server.known = {"box-stdout"};
        const std::size_t before = open_descriptors();
        const StdioSpec wrong[] = {
            {server.uri("box-stdin"), server.uri("box-stdout"), "", false},
            {"", server.uri("box-stdout"), server.uri("box-stdin"), false},
        };
        for (const StdioSpec& spec : wrong) {
            try {
                co_await open(spec);
                ADD_FAILURE() << "opened";
            } catch (const Error& error) {
                EXPECT_EQ(error.code(), Code::failed_precondition);
                EXPECT_THAT(error.message(), HasSubstr("stream 'box-stdin' at " + path("streams")));
                EXPECT_THAT(error.message(), HasSubstr("is unknown here"));
            }
        }
        // The server notices the end of a connection a turn later.
        while (open_descriptors() > before) {
            co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        }
    });
}

TEST_F(StreamingTest, NamesTheStreamOfAServerThatIsNotThere) {
    run([this]() -> Awaitable<> {
        try {
            co_await open({"", "ttrpc+unix://" + path("none") + "?streaming_id=a", "", false});
            ADD_FAILURE() << "opened";
        } catch (const Error& error) {
            EXPECT_THAT(error.message(), HasSubstr("open stream 'a' at " + path("none")));
            EXPECT_THAT(error.message(), HasSubstr("No such file"));
        }
    }());
}

TEST_F(StreamingTest, WaitsForAServerThatSaysNothingOnlySoLong) {
    with_server([this](FakeStreamingServer& server) -> Awaitable<> {
        server.silent = true;
        streaming::Session::Limits limits;
        limits.connect = std::chrono::milliseconds(20);
        try {
            co_await streaming::StreamOutput::open(
                log.logger(), {path("streams"), "mute"}, "default", limits
            );
            ADD_FAILURE() << "opened";
        } catch (const Error& error) {
            EXPECT_EQ(error.code(), Code::deadline_exceeded);
            EXPECT_THAT(error.message(), HasSubstr("'mute'"));
        }
    });
}

// Without a window everything on the way fills up and the guest is held up. Nothing hangs by it.
TEST_F(StreamingTest, HoldsTheProcessUpWithoutAWindowAndCanBeStopped) {
    with_server([this](FakeStreamingServer& server) -> Awaitable<> {
        auto io = co_await start({"", server.uri("a"), "", false});
        auto out = co_await server.accept("a");
        co_await out->grant(3);
        co_await guest_out->send(frame("0123456789") + frame(""));
        const std::string received = co_await out->receive_data();
        EXPECT_EQ(received, "012");
        const bool complete = co_await io->drained(deadline_in(std::chrono::milliseconds(50)));
        EXPECT_FALSE(complete);
        co_await io->stop();
    });
}

TEST_F(StreamingTest, GoesOnAtAServerThatComesBack) {
    with_server([this](FakeStreamingServer& server) -> Awaitable<> {
        auto io = co_await start({"", server.uri("a"), "", false});
        auto out = co_await server.accept("a");
        co_await out->grant(3);
        co_await guest_out->send(frame("0123456789"));
        std::string received = co_await out->receive_data();
        co_await server.go_away();
        server.listen();
        out = co_await server.accept("a");
        co_await guest_out->send(frame("abc") + frame(""));
        received += co_await out->receive_all();
        EXPECT_EQ(received, "0123456789abc");
        out->end();
        co_await io->stop();
        EXPECT_THAT(log.text(), HasSubstr("Connection of a stdio stream lost"));
    });
}

// The process has ended while the server was away: it is told the end when it is back.
TEST_F(StreamingTest, TellsTheEndAgainAtAServerThatComesBack) {
    with_server([this](FakeStreamingServer& server) -> Awaitable<> {
        auto io = co_await start({"", server.uri("a"), "", false});
        auto out = co_await server.accept("a");
        co_await server.go_away();
        co_await guest_out->send(frame(""));
        const bool complete = co_await io->drained(deadline_in(soon));
        EXPECT_TRUE(complete);
        server.listen();
        out = co_await server.accept("a");
        const std::string end = co_await out->receive_data();
        EXPECT_EQ(end, "");
        out->end();
        co_await io->stop();
    });
}

TEST_F(StreamingTest, GivesALostStreamUpInTheEnd) {
    with_server([this](FakeStreamingServer& server) -> Awaitable<> {
        streaming::Session::Limits limits;
        limits.first_pause = std::chrono::milliseconds(1);
        limits.reconnect = std::chrono::milliseconds(20);
        auto output = co_await streaming::StreamOutput::open(
            log.logger(), {path("streams"), "a"}, "default", limits
        );
        co_await server.accept("a");
        co_await server.go_away();
        const std::string text = "text";
        try {
            co_await output->write(std::as_bytes(std::span(text)));
            ADD_FAILURE() << "written";
        } catch (const Error& error) {
            EXPECT_THAT(error.message(), HasSubstr("after the stream was lost"));
        }
        co_await output->stop();
    });
}

TEST_F(StreamingTest, DropsOutputThatItsReaderDoesNotWant) {
    with_server([this](FakeStreamingServer& server) -> Awaitable<> {
        auto io = co_await start({"", server.uri("a"), "", false});
        auto out = co_await server.accept("a");
        out->end();
        co_await guest_out->send_stream(noise(1 << 20)); // comes to its end
        const bool complete = co_await io->drained(deadline_in(soon));
        EXPECT_TRUE(complete);
        co_await io->stop();
        EXPECT_THAT(log.text(), HasSubstr("its reader has ended it"));
    });
}

TEST_F(StreamingTest, DoesNotBelieveInANegativeWindow) {
    with_server([this](FakeStreamingServer& server) -> Awaitable<> {
        auto io = co_await start({"", server.uri("a"), "", false});
        auto out = co_await server.accept("a");
        co_await out->grant(-1);
        co_await guest_out->send_stream("text");
        co_await io->stop();
        EXPECT_THAT(log.text(), HasSubstr("a window of -1 bytes"));
    });
}

TEST_F(StreamingTest, CarriesInputWholeAndGrantsNoMoreThanAWindow) {
    with_server([this](FakeStreamingServer& server) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const std::string data = noise(1 << 20);
        auto io = co_await start({server.uri("a"), "", "", false});
        auto in = co_await server.accept("a");
        TaskGroup tasks(executor, log.logger());
        const auto feed = [&]() -> Awaitable<> {
            std::size_t window = 0;
            for (std::size_t at = 0; at < data.size();) {
                while (window == 0) {
                    window += static_cast<std::size_t>(co_await in->receive_grant());
                    EXPECT_LE(window, 64u << 10);
                }
                const std::size_t size =
                    std::min({window, data.size() - at, std::size_t{32} << 10});
                co_await in->send(data.substr(at, size));
                at += size;
                window -= size;
            }
        };
        tasks.spawn("writer", feed());
        const std::string received = co_await guest_in->receive_bytes(data.size());
        EXPECT_TRUE(received == data);
        co_await tasks.join();
        in->end();
        const std::string end = co_await guest_in->receive();
        EXPECT_EQ(end, "");
        co_await io->stop();
        EXPECT_THAT(log.text(), Not(HasSubstr("level=warn")));
    });
}

// CloseIO comes by another connection, and may be faster than the data.
TEST_F(StreamingTest, TakesInputThatComesAfterCloseIo) {
    with_server([this](FakeStreamingServer& server) -> Awaitable<> {
        auto io = co_await start({server.uri("a"), "", "", false});
        auto in = co_await server.accept("a");
        io->close_stdin();
        io->close_stdin();
        co_await in->send("late");
        const std::string received = co_await guest_in->receive();
        EXPECT_EQ(received, "late");
        co_await server.go_away(); // nobody will come back after CloseIO
        const std::string end = co_await guest_in->receive();
        EXPECT_EQ(end, "");
        co_await io->stop();
    });
}

TEST_F(StreamingTest, WaitsForAWriterThatComesBack) {
    with_server([this](FakeStreamingServer& server) -> Awaitable<> {
        auto io = co_await start({server.uri("a"), "", "", false});
        auto in = co_await server.accept("a");
        co_await in->send("first ");
        std::string received = co_await guest_in->receive();
        co_await server.go_away();
        server.listen();
        in = co_await server.accept("a");
        const std::int32_t window = co_await in->receive_grant();
        EXPECT_EQ(window, 64 << 10);
        co_await in->send("second");
        received += co_await guest_in->receive();
        EXPECT_EQ(received, "first second");
        co_await server.go_away();
        io->close_stdin(); // while it is away
        const std::string end = co_await guest_in->receive();
        EXPECT_EQ(end, "");
        co_await io->stop();
    });
}

TEST_F(StreamingTest, EndsInputThatKeepsToNoWindow) {
    with_server([this](FakeStreamingServer& server) -> Awaitable<> {
        auto io = co_await start({server.uri("a"), "", "", false});
        auto in = co_await server.accept("a");
        co_await in->send(noise(70'000));
        while (!(co_await guest_in->receive()).empty()) {
        }
        co_await io->stop();
        EXPECT_THAT(log.text(), HasSubstr("Input stream lost"));
    });
}

TEST_F(StreamingTest, TellsTheWriterThatTheProcessHasEnded) {
    with_server([this](FakeStreamingServer& server) -> Awaitable<> {
        auto io = co_await start({server.uri("a"), "", "", false});
        auto in = co_await server.accept("a");
        co_await in->receive_grant();
        co_await io->drained(deadline_in(soon));
        const std::string end = co_await in->receive_data();
        EXPECT_EQ(end, "");
        in->end();
        co_await io->stop();
    });
}

TEST_F(StreamingTest, HasOneStreamForOutputWithATerminal) {
    with_server([this](FakeStreamingServer& server) -> Awaitable<> {
        auto io = co_await start({server.uri("in"), server.uri("out"), server.uri("err"), true});
        EXPECT_TRUE(io->has_stdin() && io->has_stdout() && !io->has_stderr());
        co_await server.accept("in");
        co_await server.accept("out");
        co_await io->stop();
    });
}

} // namespace
} // namespace cppvm::io
