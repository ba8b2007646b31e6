#include "tests/unit/host/io/io_fixture.hpp"

namespace cppvm::io {
namespace {

using OutputTest = ProcessIoTest;

TEST_F(OutputTest, ReachesTheReaderWhichSeesTheEndAtOnce) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{"", fifo("out"), fifo("err"), false};
        ClientEnd out(executor, spec.stdout_uri, O_RDONLY);
        ClientEnd err(executor, spec.stderr_uri, O_RDONLY);
        auto io = co_await start(spec);
        EXPECT_FALSE(io->has_stdin());
        co_await guest_out->send(frame("to out, ") + frame("twice"));
        co_await guest_err->send_stream("to err");
        const std::string err_text = co_await err.receive_all();
        EXPECT_EQ(err_text, "to err");
        co_await guest_out->send(frame(""));
        const bool complete = co_await io->drained(deadline_in(std::chrono::seconds(5)));
        EXPECT_TRUE(complete);
        const std::string out_text = co_await out.receive_all(); // before stop
        EXPECT_EQ(out_text, "to out, twice");
        co_await io->stop();
        co_await io->stop();
        EXPECT_EQ(log.text(), "");
    }());
}

TEST_F(OutputTest, CarriesEightMebibytesWhole) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{"", fifo("out"), "", false};
        const std::string data = noise(8 << 20);
        auto io = co_await start(spec);
        TaskGroup tasks(executor, log.logger());
        tasks.spawn("guest", guest_out->send_stream(data));
        ClientEnd out(executor, spec.stdout_uri, O_RDONLY);
        const std::string received = co_await out.receive_all();
        EXPECT_TRUE(received == data);
        co_await tasks.join();
        co_await io->stop();
    }());
}

TEST_F(OutputTest, WaitsForAnAbsentReaderAndLosesNothing) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{"", fifo("out"), fifo("err"), false};
        auto io = co_await start(spec);
        // Until everything on the way is full: the guest is held up.
        const std::string piece = noise(wire::max_frame_payload);
        guest_out->socket.non_blocking(true);
        std::string sent;
        std::string rest;
        for (int full = 0; full < 100;) {
            const std::string bytes = rest.empty() ? frame(piece) : rest;
            boost::system::error_code error;
            const std::size_t count = guest_out->socket.write_some(asio::buffer(bytes), error);
            if (rest.empty() && count > 0) {
                sent += piece;
            }
            rest = count > 0 ? bytes.substr(count) : rest;
            full = error == asio::error::would_block ? full + 1 : 0;
            co_await asio::post(executor, asio::use_awaitable); // the pump's turn
        }
        EXPECT_GE(sent.size(), 64u << 10);
        EXPECT_LT(sent.size(), 16u << 20);
        // The other stream is not held up.
        ClientEnd err(executor, spec.stderr_uri, O_RDONLY);
        co_await guest_err->send_stream("still here");
        const std::string err_text = co_await err.receive_all();
        EXPECT_EQ(err_text, "still here");

        TaskGroup tasks(executor, log.logger());
        tasks.spawn("guest", guest_out->send(rest + frame("")));
        ClientEnd out(executor, spec.stdout_uri, O_RDONLY);
        const std::string received = co_await out.receive_all();
        EXPECT_TRUE(received == sent);
        co_await tasks.join();
        co_await io->stop();
    }());
}

TEST_F(OutputTest, SurvivesAReaderThatGoesAndReturns) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{"", fifo("out"), "", false};
        const std::string data = noise(1 << 20);
        auto io = co_await start(spec);
        TaskGroup tasks(executor, log.logger());
        tasks.spawn("guest", guest_out->send_stream(data));
        std::string received;
        for (int visit = 0; visit < 8; ++visit) {
            ClientEnd out(executor, spec.stdout_uri, O_RDONLY);
            received += co_await out.receive_bytes(100'000);
        }
        ClientEnd out(executor, spec.stdout_uri, O_RDONLY);
        received += co_await out.receive_all();
        EXPECT_TRUE(received == data);
        co_await tasks.join();
        co_await io->stop();
    }());
}

TEST_F(OutputTest, KeepsUnreadOutputOfAnExitedProcessForAReaderThatComesLater) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{"", fifo("out"), fifo("err"), false};
        const std::string data = noise(20'000);
        auto io = co_await start(spec);
        co_await guest_out->send_stream(data);
        co_await guest_err->send_stream("");
        const bool complete = co_await io->drained(deadline_in(std::chrono::seconds(5)));
        EXPECT_TRUE(complete);
        ClientEnd out(executor, spec.stdout_uri, O_RDONLY);
        const std::string received =
            co_await out.receive_all(); // ends although stop was not called
        EXPECT_TRUE(received == data);
        co_await io->stop();
    }());
}

TEST_F(OutputTest, DeliversWhatALateReaderLeftInTheGuest) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{"", fifo("out"), "", false};
        const std::string data = noise(200'000); // more than a fifo holds
        auto io = co_await start(spec);
        TaskGroup tasks(executor, log.logger());
        tasks.spawn("guest", guest_out->send_stream(data));
        const bool complete = co_await io->drained(deadline_in(std::chrono::milliseconds(20)));
        EXPECT_FALSE(complete);
        ClientEnd out(executor, spec.stdout_uri, O_RDONLY);
        const std::string received = co_await out.receive_all();
        EXPECT_TRUE(received == data);
        EXPECT_FALSE(log.has("has it open")) << log.text();
        co_await tasks.join();
        co_await io->stop();
    }());
}

TEST_F(OutputTest, WaitsForAGuestThatIsSlowWithItsLastOutput) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{"", fifo("out"), "", false};
        ClientEnd out(executor, spec.stdout_uri, O_RDONLY);
        auto io = co_await start(spec);
        co_await guest_out->send(frame("first") + frame("second").substr(0, 6));
        const bool complete = co_await io->drained(deadline_in(std::chrono::milliseconds(20)));
        EXPECT_FALSE(complete);
        co_await guest_out->send(frame("second").substr(6) + frame("third") + frame(""));
        const std::string received = co_await out.receive_all();
        EXPECT_EQ(received, "firstsecondthird");
        co_await io->stop();
    }());
}

TEST_F(OutputTest, IsDeliveredOnceItsReadersHaveIt) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{"", fifo("out"), fifo("err"), false};
        const std::string data = noise(1'000'000);
        ClientEnd out(executor, spec.stdout_uri, O_RDONLY);
        ClientEnd err(executor, spec.stderr_uri, O_RDONLY);
        auto io = co_await start(spec);
        std::string out_text;
        std::string err_text;
        TaskGroup tasks(executor, log.logger());
        tasks.spawn("stdout's reader", out.receive_into(out_text));
        tasks.spawn("stderr's reader", err.receive_into(err_text));
        tasks.spawn("stdout", guest_out->send_stream(data));
        tasks.spawn("stderr", guest_err->send_stream(data));
        co_await io->delivered(deadline_in(std::chrono::seconds(30)));
        EXPECT_TRUE(out_text == data);
        EXPECT_TRUE(err_text == data);
        co_await tasks.join();
        co_await io->stop();
    }());
}

TEST_F(OutputTest, IsNotWaitedForWhereItsReaderReadsNothing) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{"", fifo("out"), "", false};
        ClientEnd out(executor, spec.stdout_uri, O_RDONLY);
        auto io = co_await start(spec);
        co_await guest_out->send_stream("unread");
        const auto begin = std::chrono::steady_clock::now();
        co_await io->delivered(deadline_in(std::chrono::milliseconds(50)));
        EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(50));
        const std::string received = co_await out.receive_all();
        EXPECT_EQ(received, "unread");
        co_await io->stop();
    }());
}

TEST_F(OutputTest, IsNotWaitedForWhileAStreamIsHeldOpenInSilence) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{"", fifo("out"), "", false};
        ClientEnd out(executor, spec.stdout_uri, O_RDONLY);
        auto io = co_await start(spec);
        co_await guest_out->send(frame("said before the exit"));
        co_await io->delivered(deadline_in(std::chrono::hours(1)));
        co_await guest_out->send(frame(", and by a grandchild") + frame(""));
        const std::string received = co_await out.receive_all();
        EXPECT_EQ(received, "said before the exit, and by a grandchild");
        co_await io->stop();
    }());
}

TEST_F(OutputTest, IsNotWaitedForWhereTheProcessHasNone) {
    run([this]() -> Awaitable<> {
        auto io = co_await start({"", "", "", false});
        co_await io->delivered(deadline_in(std::chrono::hours(1)));
        co_await io->stop();
    }());
}

TEST_F(OutputTest, StopEndsWhateverIsUnread) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const std::size_t before = open_descriptors();
        const StdioSpec spec{fifo("in"), fifo("out"), fifo("err"), false};
        auto io = co_await start(spec);
        co_await guest_out->send(frame(noise(60'000)) + frame(noise(60'000)));
        co_await guest_err->send(frame("unread") + frame(""));
        const std::uint64_t confirmation = co_await guest_err->receive_confirmation();
        EXPECT_EQ(confirmation, 7U);
        co_await io->stop();
        co_await guest_in->wait_closed();
        io.reset();
        guest_in.reset();
        guest_out.reset();
        guest_err.reset();
        EXPECT_EQ(open_descriptors(), before);
        // Nobody holds them any more: a reader finds the end at once.
        ClientEnd out(executor, spec.stdout_uri, O_RDONLY);
        const std::string received = co_await out.receive_all();
        EXPECT_EQ(received, "");
    }());
}

TEST_F(OutputTest, CutsOffAGrandchildThatHoldsTheStream) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{"", fifo("out"), "", false};
        ClientEnd out(executor, spec.stdout_uri, O_RDONLY);
        auto io = co_await start(spec);
        co_await guest_out->send(frame("said before the exit") + frame("and more").substr(0, 8));
        const bool complete = co_await io->drained(deadline_in(std::chrono::milliseconds(50)));
        EXPECT_FALSE(complete);
        const std::string received = co_await out.receive_all();
        EXPECT_EQ(received, "said before the exitand ");
        co_await io->stop();
    }());
}

Awaitable<> drip(GuestEnd& guest) {
    asio::steady_timer timer(guest.socket.get_executor());
    for (;;) {
        auto [error, size] =
            co_await asio::async_write(guest.socket, asio::buffer(frame("x")), use_tuple);
        if (error) {
            co_return;
        }
        timer.expires_after(OutputPump::max_silence * 9 / 10);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

TEST_F(OutputTest, CutsOffAGuestThatDrips) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{"", fifo("out"), "", false};
        ClientEnd out(executor, spec.stdout_uri, O_RDONLY);
        auto io = co_await start(spec);
        TaskGroup tasks(executor, log.logger());
        tasks.spawn("guest", drip(*guest_out));
        const bool complete = co_await io->drained(deadline_in(std::chrono::milliseconds(50)));
        EXPECT_FALSE(complete);
        const std::string received = co_await out.receive_all(); // ends with the stream
        EXPECT_GE(received.size(), 2U);
        EXPECT_TRUE(log.has("a process in the guest still has it open")) << log.text();
        co_await tasks.join();
        co_await io->stop();
    }());
}

Awaitable<> write_without_end(GuestEnd& guest) {
    const std::string bytes = frame(noise(32'768));
    for (;;) {
        auto [error, size] =
            co_await asio::async_write(guest.socket, asio::buffer(bytes), use_tuple);
        if (error) {
            co_return;
        }
    }
}

TEST_F(OutputTest, CutsOffAGrandchildThatWritesWithoutEnd) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{"", fifo("out"), "", false};
        ClientEnd out(executor, spec.stdout_uri, O_RDONLY);
        auto io = co_await start(spec);
        TaskGroup tasks(executor, log.logger());
        tasks.spawn("grandchild", write_without_end(*guest_out));
        std::string received;
        tasks.spawn("reader", out.receive_into(received));
        const bool complete = co_await io->drained(deadline_in(std::chrono::milliseconds(50)));
        EXPECT_FALSE(complete);
        co_await tasks.join();
        EXPECT_FALSE(received.empty());
        co_await io->stop();
    }());
}

TEST_F(OutputTest, EndsAStreamThatCarriesNonsense) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        const StdioSpec spec{"", fifo("out"), fifo("err"), false};
        ClientEnd out(executor, spec.stdout_uri, O_RDONLY);
        ClientEnd err(executor, spec.stderr_uri, O_RDONLY);
        auto io = co_await start(spec);
        co_await guest_out->send(frame("good") + std::string("\x00\x01\x00\x01", 4) + "bad");
        const std::string out_text = co_await out.receive_all();
        EXPECT_EQ(out_text, "good");
        EXPECT_TRUE(log.has("Guest sent a bad frame")) << log.text();
        EXPECT_TRUE(log.has("stream=stdout")) << log.text();
        co_await guest_err->send_stream("the other one goes on");
        const std::string err_text = co_await err.receive_all();
        EXPECT_EQ(err_text, "the other one goes on");
        co_await io->stop();
    }());
}

TEST_F(OutputTest, GoesOnWhereAConnectionBroke) {
    run([this]() -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        can_resume = true;
        const StdioSpec spec{"", fifo("out"), "", false};
        ClientEnd out(executor, spec.stdout_uri, O_RDONLY);
        auto io = co_await start(spec);
        std::string received;
        // In a frame, between frames, before the first.
        for (const std::string& part : {frame("ab") + frame("cde").substr(0, 5), frame("fg"), {}}) {
            const std::size_t breaks = resumed_at.size();
            co_await guest_out->send(part);
            guest_out->close();
            while (resumed_at.size() == breaks) {
                co_await asio::post(executor, asio::use_awaitable);
            }
        }
        EXPECT_EQ(resumed_at, (std::vector<std::uint64_t>{3, 5, 5}));
        co_await guest_out->send(frame("h") + frame(""));
        received = co_await out.receive_all();
        EXPECT_EQ(received, "abcfgh");
        const std::uint64_t confirmation = co_await guest_out->receive_confirmation();
        EXPECT_EQ(confirmation, 7U);
        const bool complete = co_await io->drained(deadline_in(std::chrono::seconds(5)));
        EXPECT_TRUE(complete);
        co_await io->stop();
    }());
}

TEST_F(OutputTest, ConfirmsAsItGoesAndRefusesWhatIsNotWanted) {
    run([this]() -> Awaitable<> {
        const StdioSpec spec{"", "/dev/null", "", false};
        auto io = co_await start(spec);
        co_await guest_out->send(frame(noise(40'000)));
        const std::uint64_t first = co_await guest_out->receive_confirmation();
        EXPECT_EQ(first, 40'000U);
        co_await io->stop();
        const std::uint64_t last = co_await guest_out->receive_confirmation();
        EXPECT_EQ(last, wire::stream_refused);
    }());
}

TEST_F(OutputTest, WritesWhatCameBeforeTheConnectionBroke) {
    const std::string bytes = frame("abc") + frame("defgh") + frame("");
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        SCOPED_TRACE(cut);
        const std::string expected =
            std::string("\0\0\0\0abc\0\0\0\0defgh\0\0\0\0", 20).substr(0, cut);
        run([&, this]() -> Awaitable<> {
            auto executor = co_await asio::this_coro::executor;
            const StdioSpec spec{"", fifo("out" + std::to_string(cut)), "", false};
            ClientEnd out(executor, spec.stdout_uri, O_RDONLY);
            auto io = co_await start(spec);
            co_await guest_out->send(bytes.substr(0, cut));
            guest_out->close();
            const std::string received = co_await out.receive_all();
            std::string wanted;
            std::copy_if(expected.begin(), expected.end(), std::back_inserter(wanted), [](char c) {
                return c != '\0';
            });
            EXPECT_EQ(received, wanted);
            const bool complete = co_await io->drained(deadline_in(std::chrono::seconds(5)));
            EXPECT_TRUE(complete);
            co_await io->stop();
        }());
    }
}

} // namespace
} // namespace cppvm::io
