#include "common/stream/frame_writer.hpp"
#include "common/wire/stream_frame.hpp"
#include "host/sockets/socket_offers.hpp"
#include "tests/support/co_test.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include <list>
#include <vector>

namespace cppvm::sockets {
namespace {

using asio::local::stream_protocol;

/// The guest's side: gives an end of a socket pair for each dial, and keeps the other.
struct Guest {
    explicit Guest(const asio::any_io_executor& loop) : executor(loop), dialled(loop) {}

    SocketOffers::Dial dial() {
        return [this](std::uint64_t connection, bool taken) { return open(connection, taken); };
    }

    Awaitable<std::optional<StreamSocket>> open(std::uint64_t connection, bool taken) {
        words.emplace_back(connection, taken);
        dialled.set();
        if (refuses) {
            co_return std::nullopt;
        }
        stream_protocol::socket ours(executor);
        stream_protocol::socket theirs(executor);
        asio::local::connect_pair(ours, theirs);
        ends.push_back(std::move(theirs));
        co_return StreamSocket(std::move(ours));
    }

    Awaitable<> wait_dialled() {
        co_await dialled.wait();
        dialled.clear();
    }

    asio::any_io_executor executor;
    Event dialled;
    bool refuses = false;
    std::vector<std::pair<std::uint64_t, bool>> words;
    std::list<stream_protocol::socket> ends;
};

class SocketOffersTest : public ::testing::Test {
  protected:
    using Body = std::function<Awaitable<>(SocketOffers&, Guest&)>;

    void run(Body body) {
        testing::co_test([](Body inner) -> Awaitable<> {
            const auto executor = co_await asio::this_coro::executor;
            SocketOffers offers(executor, Logger());
            Guest guest(executor);
            co_await inner(offers, guest);
            co_await offers.stop();
        }(std::move(body)));
    }

    std::filesystem::path path() const { return dir / "server"; }

    testing::TempDir dir;
};

Awaitable<> expect_closed(stream_protocol::socket& socket) {
    char byte = 0;
    auto [error, size] = co_await socket.async_read_some(asio::buffer(&byte, 1), use_tuple);
    EXPECT_TRUE(error) << "a byte came";
}

TEST_F(SocketOffersTest, JoinsTheGuestToTheServer) {
    run([this](SocketOffers& offers, Guest& guest) -> Awaitable<> {
        stream_protocol::acceptor server(
            guest.executor, stream_protocol::endpoint(path().native())
        );
        const std::uint64_t number = offers.offer(path());
        offers.connect(number, 7, guest.dial());
        auto client = co_await server.async_accept(asio::use_awaitable);
        co_await guest.wait_dialled();
        EXPECT_EQ(guest.words.front(), std::pair(std::uint64_t{7}, true));
        while (guest.ends.empty()) {
            co_await asio::post(guest.executor, asio::use_awaitable);
        }
        StreamSocket end(std::move(guest.ends.front()));
        co_await stream::write_frame(end, asio::buffer(std::string("ping")));
        std::string text(4, '\0');
        co_await asio::async_read(client, asio::buffer(text), asio::use_awaitable);
        EXPECT_EQ(text, "ping");
        co_await asio::async_write(client, asio::buffer(std::string("pong")), asio::use_awaitable);
        std::string framed(wire::frame_header_size + 4, '\0');
        co_await asio::async_read(end, asio::buffer(framed), asio::use_awaitable);
        EXPECT_EQ(framed.substr(wire::frame_header_size), "pong");
        // One direction ends before the other.
        co_await stream::write_frame(end, asio::const_buffer());
        auto [error, size] = co_await client.async_read_some(asio::buffer(text), use_tuple);
        EXPECT_EQ(error, asio::error::eof);
        co_await asio::async_write(client, asio::buffer(std::string("last")), asio::use_awaitable);
        co_await asio::async_read(end, asio::buffer(framed), asio::use_awaitable);
        EXPECT_EQ(framed.substr(wire::frame_header_size), "last");
        client.close();
    });
}

TEST_F(SocketOffersTest, TellsTheGuestThatTheServerIsNotThere) {
    run([this](SocketOffers& offers, Guest& guest) -> Awaitable<> {
        offers.connect(offers.offer(path()), 3, guest.dial());
        co_await guest.wait_dialled();
        EXPECT_EQ(guest.words.front(), std::pair(std::uint64_t{3}, false));
    });
}

TEST_F(SocketOffersTest, GoesToNoSocketThatIsNotOffered) {
    run([this](SocketOffers& offers, Guest& guest) -> Awaitable<> {
        const std::uint64_t number = offers.offer(path());
        offers.connect(number + 1, 1, guest.dial());
        offers.connect(0, 1, guest.dial());
        co_await offers.withdraw(number);
        co_await offers.withdraw(number);
        offers.connect(number, 1, guest.dial());
        EXPECT_NE(offers.offer(path()), number);
        co_await asio::post(guest.executor, asio::use_awaitable);
        EXPECT_TRUE(guest.words.empty());
    });
}

TEST_F(SocketOffersTest, DropsTheServerOfAConnectionThatTheGuestDisowns) {
    run([this](SocketOffers& offers, Guest& guest) -> Awaitable<> {
        stream_protocol::acceptor server(
            guest.executor, stream_protocol::endpoint(path().native())
        );
        guest.refuses = true;
        offers.connect(offers.offer(path()), 1, guest.dial());
        auto client = co_await server.async_accept(asio::use_awaitable);
        co_await expect_closed(client);
    });
}

TEST_F(SocketOffersTest, BreaksConnectionsOffWithTheOffer) {
    run([this](SocketOffers& offers, Guest& guest) -> Awaitable<> {
        stream_protocol::acceptor server(
            guest.executor, stream_protocol::endpoint(path().native())
        );
        const std::uint64_t number = offers.offer(path());
        offers.connect(number, 1, guest.dial());
        auto client = co_await server.async_accept(asio::use_awaitable);
        co_await guest.wait_dialled();
        co_await offers.withdraw(number);
        co_await expect_closed(client);
    });
}

// A guest may say what it likes as often as it likes.
TEST_F(SocketOffersTest, BoundsTheConnectionsOfAMachine) {
    run([this](SocketOffers& offers, Guest& guest) -> Awaitable<> {
        stream_protocol::acceptor server(
            guest.executor, stream_protocol::endpoint(path().native())
        );
        const std::uint64_t number = offers.offer(path());
        for (std::uint64_t i = 0; i < 3 * SocketOffers::max_connections; ++i) {
            offers.connect(number, i, guest.dial());
        }
        std::vector<stream_protocol::socket> clients;
        for (std::size_t i = 0; i < SocketOffers::max_connections; ++i) {
            clients.push_back(co_await server.async_accept(asio::use_awaitable));
        }
        while (guest.words.size() < SocketOffers::max_connections) {
            co_await guest.wait_dialled();
        }
        co_await asio::post(guest.executor, asio::use_awaitable);
        EXPECT_EQ(guest.words.size(), SocketOffers::max_connections);
    });
}

} // namespace
} // namespace cppvm::sockets
