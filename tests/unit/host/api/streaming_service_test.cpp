#include "common/base/error.hpp"
#include "common/ttrpc/client.hpp"
#include "common/ttrpc/server.hpp"
#include "host/api/streaming_service.hpp"
#include "host/io/streaming/channel.hpp"
#include "host/io/streaming/message.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/local/stream_protocol.hpp>
#include <gtest/gtest.h>

#include <functional>
#include <span>
#include <string>

namespace cppvm::api {
namespace {

using io::streaming::Channel;
using ChannelHandle = std::shared_ptr<Channel>;

/// The service at a socket, and what is open at it until the end of the test.
struct Bench {
    Bench(const asio::any_io_executor& its_executor, std::string its_path)
        : path(std::move(its_path)), executor(its_executor), service(executor),
          server(executor, Logger()), tasks(executor, Logger()) {
        server.add(service);
        tasks.spawn(
            "serve",
            server.serve(
                ttrpc::Server::Acceptor(executor, asio::local::stream_protocol::endpoint(path))
            )
        );
    }

    Awaitable<ChannelHandle> open(std::string id) {
        auto channel =
            co_await Channel::open(Logger(), {path, std::move(id)}, "k8s.io", no_deadline);
        channels.push_back(channel);
        co_return channel;
    }

    Awaitable<> stop() {
        for (const auto& channel : channels) {
            co_await channel->stop();
        }
        co_await server.stop();
        co_await tasks.stop();
    }

    std::string path;
    asio::any_io_executor executor;
    StreamingService service;
    ttrpc::Server server;
    std::vector<ChannelHandle> channels;
    TaskGroup tasks;
};

void with_service(std::function<Awaitable<>(Bench&)> body) {
    const testing::TempDir dir;
    testing::co_test([](std::string path, std::function<Awaitable<>(Bench&)> run) -> Awaitable<> {
        Bench bench(co_await asio::this_coro::executor, std::move(path));
        std::exception_ptr failure;
        try {
            co_await run(bench);
        } catch (...) {
            failure = std::current_exception();
        }
        co_await bench.stop();
        if (failure) {
            std::rethrow_exception(failure);
        }
    }((dir.path() / "socket").native(), std::move(body)));
}

std::string data(const std::string& text) {
    return io::streaming::encode_data(std::as_bytes(std::span(text)));
}

Awaitable<Status> failure_of(ChannelHandle channel) {
    try {
        const auto message = co_await channel->receive();
        co_return Status{Code::ok, message ? *message : "the end"};
    } catch (...) {
        co_return to_status(std::current_exception());
    }
}

TEST(StreamingServiceTest, JoinsStreamsOfOneId) {
    with_service([](Bench& bench) -> Awaitable<> {
        const auto theirs = co_await bench.open("c1-stdout");
        const auto others = co_await bench.open("c2-stdout");
        const auto ours = co_await bench.open("c1-stdout");
        const auto others_second = co_await bench.open("c2-stdout");
        co_await ours->send(data("one"));
        co_await ours->send(data("two"));
        co_await others->send(data("other"));
        const auto first = co_await theirs->receive();
        const auto second = co_await theirs->receive();
        EXPECT_EQ(first, data("one"));
        EXPECT_EQ(second, data("two"));
        const std::string update = io::streaming::encode_window_update(7);
        co_await theirs->send(update);
        const auto back = co_await ours->receive();
        EXPECT_EQ(back, update);
        const auto other = co_await others_second->receive();
        EXPECT_EQ(other, data("other"));
    });
}

TEST(StreamingServiceTest, KeepsWhatComesBeforeTheSecond) {
    with_service([](Bench& bench) -> Awaitable<> {
        const auto ours = co_await bench.open("s");
        co_await ours->send(data("early"));
        const auto theirs = co_await bench.open("s");
        const auto message = co_await theirs->receive();
        EXPECT_EQ(message, data("early"));
    });
}

TEST(StreamingServiceTest, EndsBothInOrder) {
    with_service([](Bench& bench) -> Awaitable<> {
        const auto ours = co_await bench.open("s");
        const auto theirs = co_await bench.open("s");
        co_await ours->send(data("last"));
        ours->close_send();
        const auto message = co_await theirs->receive();
        EXPECT_EQ(message, data("last"));
        const auto end = co_await theirs->receive();
        EXPECT_FALSE(end);
        const auto our_end = co_await ours->receive();
        EXPECT_FALSE(our_end);
    });
}

TEST(StreamingServiceTest, TellsOneThatTheOtherIsLost) {
    with_service([](Bench& bench) -> Awaitable<> {
        const auto ours = co_await bench.open("s");
        const auto theirs = co_await bench.open("s");
        co_await theirs->stop(); // containerd ends
        const Status lost = co_await failure_of(ours);
        EXPECT_EQ(lost.message, "stream s: the other end is lost");
        // Both come back, in whatever order.
        const auto ours_again = co_await bench.open("s");
        const auto theirs_again = co_await bench.open("s");
        co_await ours_again->send(data("more"));
        const auto message = co_await theirs_again->receive();
        EXPECT_EQ(message, data("more"));
    });
}

TEST(StreamingServiceTest, ForgetsOneThatGoesBeforeItsSecondComes) {
    with_service([](Bench& bench) -> Awaitable<> {
        const auto gone = co_await bench.open("s");
        co_await gone->stop();
        for (;;) { // the server notices it in a turn of the loop; co_test bounds it
            const auto ours = co_await bench.open("s");
            const auto theirs = co_await bench.open("s");
            co_await ours->send(data("x"));
            const auto message = co_await failure_of(theirs);
            if (message.message == data("x")) {
                break;
            }
        }
    });
}

TEST(StreamingServiceTest, RefusesWhatHasNoId) {
    with_service([](Bench& bench) -> Awaitable<> {
        bool refused = false;
        try {
            co_await bench.open("");
        } catch (const Error&) {
            refused = true;
        }
        EXPECT_TRUE(refused);
    });
}

} // namespace
} // namespace cppvm::api
