// A whole exchange over a connection that a relay in the middle cuts after every possible number of
// bytes: whatever was going on ends, with the answer or with "ttrpc: closed", and nothing is left.

#include "tests/support/co_test.hpp"
#include "tests/unit/common/ttrpc/link.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <limits>

namespace cppvm::ttrpc::testing {

namespace {

/// Carries bytes between two sockets, in pieces of at most `piece`, until `budget` is used up.
class Relay {
  public:
    Relay(StreamSocket one, StreamSocket other, std::size_t budget, std::size_t piece)
        : one_(std::move(one)), other_(std::move(other)), budget_(budget), piece_(piece) {}

    Awaitable<> there() { return carry(one_, other_); }
    Awaitable<> back() { return carry(other_, one_); }
    std::size_t carried() const { return carried_; }

  private:
    Awaitable<> carry(StreamSocket& from, StreamSocket& to) {
        std::array<char, 4096> buffer{};
        while (carried_ < budget_) {
            auto [error, size] = co_await from.async_read_some(
                asio::buffer(buffer.data(), std::min(piece_, buffer.size())), use_tuple
            );
            if (error) {
                break;
            }
            const std::size_t allowed = std::min(size, budget_ - carried_);
            carried_ += allowed;
            auto [failed, written] =
                co_await asio::async_write(to, asio::buffer(buffer.data(), allowed), use_tuple);
            if (failed) {
                break;
            }
        }
        boost::system::error_code ignored;
        one_.close(ignored);
        other_.close(ignored);
    }

    StreamSocket one_;
    StreamSocket other_;
    std::size_t budget_;
    std::size_t piece_;
    std::size_t carried_ = 0;
};

struct Outcome {
    int answered = 0;
    int closed = 0;
    std::size_t bytes = 0;
};

/// Takes the status of one step. True: go on.
bool note(Outcome& outcome, const Status& status, const Status& expected) {
    if (status == expected) {
        ++outcome.answered;
        return true;
    }
    EXPECT_EQ(status, (Status{Code::unavailable, "ttrpc: closed"}));
    ++outcome.closed;
    return false;
}

Awaitable<> use_stream(Client& client) {
    const auto stream = co_await client.open_stream("test.v1.Echo", "Repeat");
    co_await stream->send("message");
    const auto message = co_await stream->receive();
    EXPECT_EQ(message, "message");
    stream->close_send();
    const auto end = co_await stream->receive();
    EXPECT_EQ(end, std::nullopt);
}

Awaitable<> exchange(Client& client, Outcome& outcome) {
    const Status echo = co_await status_of(client.call("test.v1.Echo", "Echo", "payload"));
    note(outcome, echo, {});
    const Status missing = co_await status_of(client.call("test.v1.Echo", "FailNotFound", ""));
    note(outcome, missing, {Code::not_found, "task a: not found"});
    const Status stream = co_await status_of(use_stream(client));
    note(outcome, stream, {});
}

Awaitable<> run(std::size_t budget, std::size_t piece, Outcome& outcome) {
    auto executor = co_await asio::this_coro::executor;
    Served served(executor);
    auto [client_end, near_end] = socket_pair(executor);
    auto [far_end, server_end] = socket_pair(executor);
    Relay relay(std::move(near_end), std::move(far_end), budget, piece);
    Client client(std::move(client_end), {});
    served.tasks.spawn("there", relay.there());
    served.tasks.spawn("back", relay.back());
    served.tasks.spawn("server", served.server.serve_connection(std::move(server_end)));
    served.tasks.spawn("client", client.run());
    co_await exchange(client, outcome);
    co_await client.stop();
    co_await served.stop();
    outcome.bytes = relay.carried();
}

TEST(CutTest, BytesMayComeOneByOne) {
    Outcome outcome;
    cppvm::testing::co_test(run(std::numeric_limits<std::size_t>::max(), 1, outcome));
    EXPECT_EQ(outcome.answered, 3);
    EXPECT_EQ(outcome.closed, 0);
}

TEST(CutTest, ConnectionMayEndAfterAnyByte) {
    Outcome whole;
    cppvm::testing::co_test(run(std::numeric_limits<std::size_t>::max(), 4096, whole));
    ASSERT_EQ(whole.answered, 3);
    ASSERT_GT(whole.bytes, 100U);
    for (std::size_t budget = 0; budget < whole.bytes; ++budget) {
        Outcome cut;
        cppvm::testing::co_test(run(budget, 4096, cut));
        EXPECT_EQ(cut.answered + cut.closed, 3) << "cut after " << budget << " bytes";
        EXPECT_GE(cut.closed, 1) << "cut after " << budget << " bytes";
    }
}

} // namespace

} // namespace cppvm::ttrpc::testing
