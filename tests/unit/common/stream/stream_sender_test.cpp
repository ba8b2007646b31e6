#include "common/async/task_group.hpp"
#include "common/stream/stream_sender.hpp"
#include "common/wire/stream_frame.hpp"
#include "tests/support/co_test.hpp"

#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <string>

namespace cppvm::stream {
namespace {

using cppvm::testing::co_test;
using End = StreamSender::End;

/// A sender whose source and connections the test hands out.
class Bench {
  public:
    explicit Bench(const asio::any_io_executor& executor)
        : executor_(executor), sender_(executor, 16), more_(executor), connected_(executor),
          over_(executor), tasks_(executor, Logger()) {
        tasks_.spawn("sender", run());
    }

    void write(std::string text) {
        text_ += text;
        more_.set();
    }
    void end() {
        ended_ = true;
        more_.set();
    }
    void fail() {
        failed_ = true;
        more_.set();
    }

    /// The receiver's end of the next connection, of which it has `received` bytes.
    StreamSocket connect(std::uint64_t received) {
        asio::local::stream_protocol::socket ours(executor_);
        asio::local::stream_protocol::socket theirs(executor_);
        asio::local::connect_pair(ours, theirs);
        waiting_.push_back(Connection{std::make_shared<StreamSocket>(std::move(ours)), received});
        connected_.set();
        return StreamSocket(std::move(theirs));
    }
    void no_more_connections() {
        waiting_.push_back(std::nullopt);
        connected_.set();
    }

    Awaitable<End> result() {
        co_await over_.wait();
        co_await tasks_.join();
        if (failure_) {
            std::rethrow_exception(failure_);
        }
        co_return result_;
    }

  private:
    Awaitable<> run() {
        try {
            result_ = co_await sender_.run(
                [this](SentBytes& bytes) { return read(bytes); }, [this] { return next(); }
            );
        } catch (const Error&) {
            failure_ = std::current_exception();
        }
        over_.set();
    }

    Awaitable<bool> read(SentBytes& bytes) {
        while (text_.empty() && !ended_ && !failed_) {
            more_.clear();
            co_await more_.wait();
        }
        if (failed_) {
            throw Error(Code::unknown, "the source has failed");
        }
        const auto room = bytes.room();
        const std::size_t size = std::min(room.size(), text_.size());
        std::copy_n(reinterpret_cast<const std::byte*>(text_.data()), size, room.begin());
        bytes.commit(size);
        text_.erase(0, size);
        co_return size > 0;
    }

    Awaitable<std::optional<Connection>> next() {
        while (waiting_.empty()) {
            connected_.clear();
            co_await connected_.wait();
        }
        auto connection = std::move(waiting_.front());
        waiting_.pop_front();
        co_return connection;
    }

    asio::any_io_executor executor_;
    StreamSender sender_;
    std::string text_;
    bool ended_ = false;
    bool failed_ = false;
    Event more_;
    std::deque<std::optional<Connection>> waiting_;
    Event connected_;
    End result_ = End::lost;
    std::exception_ptr failure_;
    Event over_;
    TaskGroup tasks_;
};

Awaitable<std::string> read_frame(StreamSocket& socket) {
    std::array<std::uint8_t, wire::frame_header_size> header{};
    co_await asio::async_read(socket, asio::buffer(header), asio::use_awaitable);
    std::string payload(wire::decode_frame_header(header).value(), '\0');
    co_await asio::async_read(socket, asio::buffer(payload), asio::use_awaitable);
    co_return payload;
}

Awaitable<std::string> read_bytes(StreamSocket& socket, std::size_t size) {
    std::string text;
    while (text.size() < size) {
        text += co_await read_frame(socket);
    }
    co_return text;
}

Awaitable<> confirm(StreamSocket& socket, std::uint64_t received) {
    const auto bytes = wire::encode_confirmation(received);
    co_await asio::async_write(socket, asio::buffer(bytes), asio::use_awaitable);
}

void run(std::function<Awaitable<>(Bench&)> body) {
    co_test([](std::function<Awaitable<>(Bench&)> test) -> Awaitable<> {
        Bench bench(co_await asio::this_coro::executor);
        co_await test(bench);
    }(std::move(body)));
}

TEST(StreamSenderTest, SendsUntilTheEndIsConfirmed) {
    run([](Bench& bench) -> Awaitable<> {
        StreamSocket receiver = bench.connect(0);
        bench.write("hello");
        const std::string first = co_await read_bytes(receiver, 5);
        EXPECT_EQ(first, "hello");
        bench.end();
        const std::string end = co_await read_frame(receiver);
        EXPECT_EQ(end, "");
        co_await confirm(receiver, 5); // not the end yet
        co_await confirm(receiver, 6);
        const End result = co_await bench.result();
        EXPECT_EQ(result, End::confirmed);
    });
}

TEST(StreamSenderTest, HasNoMoreOnItsWayThanItsCapacity) {
    run([](Bench& bench) -> Awaitable<> {
        StreamSocket receiver = bench.connect(0);
        bench.write(std::string(16, 'a') + std::string(16, 'b'));
        std::string text = co_await read_bytes(receiver, 16);
        EXPECT_EQ(text, std::string(16, 'a'));
        EXPECT_EQ(receiver.available(), 0U);
        co_await confirm(receiver, 10);
        text = co_await read_bytes(receiver, 10);
        EXPECT_EQ(text, std::string(10, 'b'));
        EXPECT_EQ(receiver.available(), 0U);
        co_await confirm(receiver, wire::stream_refused);
        const End result = co_await bench.result();
        EXPECT_EQ(result, End::refused);
    });
}

TEST(StreamSenderTest, SendsAgainWhatHasNotArrived) {
    run([](Bench& bench) -> Awaitable<> {
        {
            StreamSocket receiver = bench.connect(0);
            bench.write("abcdef");
            co_await read_bytes(receiver, 6);
            co_await confirm(receiver, 1);
        }
        bench.write("gh");
        {
            StreamSocket receiver = bench.connect(4);
            const std::string text = co_await read_bytes(receiver, 4);
            EXPECT_EQ(text, "efgh");
            bench.end();
            const std::string end = co_await read_frame(receiver);
            EXPECT_EQ(end, "");
        } // the end is lost
        StreamSocket receiver = bench.connect(8);
        const std::string end = co_await read_frame(receiver);
        EXPECT_EQ(end, "");
        co_await confirm(receiver, 9);
        const End result = co_await bench.result();
        EXPECT_EQ(result, End::confirmed);
    });
}

TEST(StreamSenderTest, EndsWithoutAnotherConnection) {
    run([](Bench& bench) -> Awaitable<> {
        {
            StreamSocket receiver = bench.connect(0);
        }
        bench.no_more_connections();
        const End result = co_await bench.result();
        EXPECT_EQ(result, End::lost);
    });
}

TEST(StreamSenderTest, BelievesNoReceiverThatCannotBeRight) {
    // More than was sent, less than before, the end before it.
    for (const std::uint64_t word : {std::uint64_t{6}, std::uint64_t{1}, std::uint64_t{1} << 40}) {
        run([word](Bench& bench) -> Awaitable<> {
            StreamSocket receiver = bench.connect(0);
            bench.write("hello");
            co_await read_bytes(receiver, 5);
            co_await confirm(receiver, 2);
            co_await confirm(receiver, word);
            const End result = co_await bench.result();
            EXPECT_EQ(result, End::broken) << word;
        });
    }
    run([](Bench& bench) -> Awaitable<> {
        {
            StreamSocket receiver = bench.connect(0);
        }
        StreamSocket receiver = bench.connect(1); // nothing was ever sent
        const End result = co_await bench.result();
        EXPECT_EQ(result, End::broken);
    });
}

TEST(StreamSenderTest, PassesTheFailureOfItsSource) {
    run([](Bench& bench) -> Awaitable<> {
        StreamSocket receiver = bench.connect(0);
        bench.fail();
        bool thrown = false;
        try {
            co_await bench.result();
        } catch (const Error& error) {
            thrown = true;
            EXPECT_EQ(error.message(), "the source has failed");
        }
        EXPECT_TRUE(thrown);
    });
}

} // namespace
} // namespace cppvm::stream
