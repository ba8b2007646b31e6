// Connections to a namespace of the host arrive at a server, as if that were in a guest.

#include "common/async/task_group.hpp"
#include "common/base/error.hpp"
#include "common/stream/relay.hpp"
#include "host/network/guest_ports.hpp"
#include "tests/integration/network/namespace_fixture.hpp"
#include "tests/support/co_test.hpp"

#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

namespace cppvm::network {
namespace {

using asio::ip::tcp;
using testing::TestNamespace;
using Reach = GuestPorts::Reach;

/// Takes each connection's bytes to their end, and gives them back in brackets. In the test's own
/// namespace, at a port of the kernel's choice; the agent's end of the relay is with it.
class Guest {
  public:
    explicit Guest(const asio::any_io_executor& executor)
        : executor_(executor), acceptor_(executor, {asio::ip::address_v4::loopback(), 0}),
          tasks_(executor, Logger()) {
        tasks_.spawn("accept", accept());
    }

    Awaitable<std::optional<StreamSocket>> dial(ListeningPort port) {
        dialled.push_back(port);
        if (refuses) {
            co_return std::nullopt;
        }
        asio::local::stream_protocol::socket ours(executor_);
        asio::local::stream_protocol::socket theirs(executor_);
        asio::local::connect_pair(ours, theirs);
        tasks_.spawn("relay", relay(StreamSocket(std::move(theirs))));
        co_return StreamSocket(std::move(ours));
    }

    Awaitable<> stop() { co_await tasks_.stop(); }

    bool refuses = false;
    std::vector<ListeningPort> dialled;

  private:
    Awaitable<> accept() {
        for (;;) {
            tcp::socket client = co_await acceptor_.async_accept(asio::use_awaitable);
            tasks_.spawn("serve", serve(std::move(client)));
        }
    }

    static Awaitable<> serve(tcp::socket client) {
        std::string text = "[";
        co_await asio::async_read(client, asio::dynamic_buffer(text), use_tuple);
        co_await asio::async_write(client, asio::buffer(text + "]"), asio::use_awaitable);
    }

    Awaitable<> relay(StreamSocket framed) {
        StreamSocket client(executor_);
        co_await client.async_connect(
            StreamSocket::endpoint_type(acceptor_.local_endpoint()), asio::use_awaitable
        );
        co_await stream::relay(framed, client);
    }

    asio::any_io_executor executor_;
    tcp::acceptor acceptor_;
    TaskGroup tasks_;
};

class GuestPortsTest : public ::testing::Test {
  protected:
    GuestPortsTest() { host_.set_up("lo"); }

    using Body = std::function<Awaitable<>(GuestPorts&, Guest&)>;

    void run(Reach reach, Body body) {
        cppvm::testing::co_test([](GuestPortsTest& test, Reach how, Body use) -> Awaitable<> {
            const auto executor = co_await asio::this_coro::executor;
            Guest guest(executor);
            GuestPorts ports(
                executor,
                Logger(),
                test.host_.descriptor(),
                how,
                [&guest](ListeningPort port) { return guest.dial(port); }
            );
            std::exception_ptr failure;
            try {
                co_await use(ports, guest);
            } catch (...) {
                failure = std::current_exception();
            }
            co_await ports.stop();
            co_await guest.stop();
            if (failure) {
                std::rethrow_exception(failure);
            }
        }(*this, reach, std::move(body)));
    }

    Awaitable<tcp::socket> connect(const char* address, std::uint16_t port) {
        const tcp::endpoint to(asio::ip::make_address(address), port);
        tcp::socket client(co_await asio::this_coro::executor);
        in_namespace(host_.descriptor(), [&] { client.open(to.protocol()); });
        co_await client.async_connect(to, asio::use_awaitable);
        co_return client;
    }

    Awaitable<std::string> ask(const char* address, std::uint16_t port, std::string question) {
        tcp::socket client = co_await connect(address, port);
        co_await asio::async_write(client, asio::buffer(question), asio::use_awaitable);
        client.shutdown(asio::socket_base::shutdown_send);
        std::string answer;
        auto [error, size] =
            co_await asio::async_read(client, asio::dynamic_buffer(answer), use_tuple);
        EXPECT_EQ(error, asio::error::eof);
        co_return answer;
    }

    Awaitable<> expect_refused(const char* address, std::uint16_t port) {
        boost::system::error_code code;
        try {
            co_await connect(address, port);
        } catch (const boost::system::system_error& error) {
            code = error.code();
        }
        EXPECT_EQ(code, asio::error::connection_refused) << address << " " << port;
    }

    TestNamespace host_;
};

TEST_F(GuestPortsTest, CarryConnectionsWithTheirEnds) {
    run(Reach::loopback, [this](GuestPorts& ports, Guest& guest) -> Awaitable<> {
        ports.set({{false, 80, true}, {true, 81, false}});
        EXPECT_EQ(co_await ask("127.0.0.1", 80, "hello"), "[hello]");
        EXPECT_EQ(co_await ask("::1", 81, ""), "[]");
        const std::string big(1024UL * 1024, 'x');
        EXPECT_EQ(co_await ask("127.0.0.1", 80, big), "[" + big + "]");
        EXPECT_EQ(guest.dialled.at(1), (ListeningPort{true, 81, false}));
        co_await expect_refused("::1", 80);
        co_await expect_refused("127.0.0.1", 81);
    });
}

TEST_F(GuestPortsTest, FollowWhatTheGuestSays) {
    run(Reach::loopback, [this](GuestPorts& ports, Guest& guest) -> Awaitable<> {
        ports.set({{false, 80, false}});
        tcp::socket open = co_await connect("127.0.0.1", 80);
        while (guest.dialled.empty()) {
            co_await asio::post(open.get_executor(), asio::use_awaitable);
        }
        ports.set({{false, 81, false}});
        co_await expect_refused("127.0.0.1", 80);
        EXPECT_EQ(co_await ask("127.0.0.1", 81, "x"), "[x]");
        open.shutdown(asio::socket_base::shutdown_send); // an open connection goes on
        std::string answer;
        co_await asio::async_read(open, asio::dynamic_buffer(answer), use_tuple);
        EXPECT_EQ(answer, "[]");
        ports.set({{false, 80, false}});
        EXPECT_EQ(co_await ask("127.0.0.1", 80, "again"), "[again]");
    });
}

TEST_F(GuestPortsTest, AreAtOtherAddressesWithTheHostsNetworkAlone) {
    const std::set<ListeningPort> said{{false, 80, true}, {false, 81, false}};
    run(Reach::loopback, [&, this](GuestPorts& ports, Guest&) -> Awaitable<> {
        ports.set(said);
        co_await expect_refused("127.0.0.2", 80);
    });
    run(Reach::as_the_guest, [&, this](GuestPorts& ports, Guest&) -> Awaitable<> {
        ports.set(said);
        EXPECT_EQ(co_await ask("127.0.0.2", 80, "x"), "[x]");
        co_await expect_refused("127.0.0.2", 81);
        EXPECT_EQ(co_await ask("127.0.0.1", 81, "x"), "[x]");
    });
}

TEST_F(GuestPortsTest, LeaveTheHostItsOwn) {
    run(Reach::loopback, [this](GuestPorts& ports, Guest& guest) -> Awaitable<> {
        const auto executor = co_await asio::this_coro::executor;
        tcp::acceptor own(executor);
        in_namespace(host_.descriptor(), [&] {
            own = tcp::acceptor(executor, {asio::ip::address_v4::loopback(), 80});
        });
        ports.set({{false, 80, true}});
        const tcp::socket client = co_await connect("127.0.0.1", 80);
        co_await own.async_accept(asio::use_awaitable);
        EXPECT_TRUE(guest.dialled.empty());
    });
}

TEST_F(GuestPortsTest, ResetWhatTheGuestRefuses) {
    run(Reach::loopback, [this](GuestPorts& ports, Guest& guest) -> Awaitable<> {
        guest.refuses = true; // it has ended to listen since
        ports.set({{false, 80, true}});
        tcp::socket client = co_await connect("127.0.0.1", 80);
        std::string nothing;
        auto [error, size] =
            co_await asio::async_read(client, asio::dynamic_buffer(nothing), use_tuple);
        EXPECT_EQ(error, asio::error::connection_reset);
    });
}

TEST_F(GuestPortsTest, CarryAHundredAtOnce) {
    run(Reach::loopback, [this](GuestPorts& ports, Guest&) -> Awaitable<> {
        ports.set({{false, 80, true}});
        std::vector<tcp::socket> clients;
        for (int i = 0; i < 100; ++i) {
            clients.push_back(co_await connect("127.0.0.1", 80));
        }
        for (tcp::socket& client : clients) {
            client.shutdown(asio::socket_base::shutdown_send);
        }
        for (tcp::socket& client : clients) {
            std::string answer;
            co_await asio::async_read(client, asio::dynamic_buffer(answer), use_tuple);
            EXPECT_EQ(answer, "[]");
        }
    });
}

TEST_F(GuestPortsTest, ResetWhatIsTooMuch) {
    run(Reach::loopback, [this](GuestPorts& ports, Guest& guest) -> Awaitable<> {
        ports.set({{false, 80, true}});
        std::vector<tcp::socket> clients;
        while (clients.size() < GuestPorts::max_connections) {
            clients.push_back(co_await connect("127.0.0.1", 80));
        }
        while (guest.dialled.size() < clients.size()) {
            co_await asio::post(clients.front().get_executor(), asio::use_awaitable);
        }
        tcp::socket more = co_await connect("127.0.0.1", 80);
        std::string nothing;
        auto [error, size] =
            co_await asio::async_read(more, asio::dynamic_buffer(nothing), use_tuple);
        EXPECT_EQ(error, asio::error::connection_reset);
        clients.front().shutdown(asio::socket_base::shutdown_send);
        co_await asio::async_read(clients.front(), asio::dynamic_buffer(nothing), use_tuple);
        EXPECT_EQ(nothing, "[]") << "those before it go on";
    });
}

TEST_F(GuestPortsTest, AreBounded) {
    run(Reach::loopback, [this](GuestPorts& ports, Guest&) -> Awaitable<> {
        std::set<ListeningPort> all;
        for (unsigned port = 1; port <= 0xffff; ++port) {
            all.insert({false, static_cast<std::uint16_t>(port), true});
        }
        ports.set(all);
        EXPECT_EQ(co_await ask("127.0.0.1", GuestPorts::max_ports, "x"), "[x]");
        co_await expect_refused("127.0.0.1", GuestPorts::max_ports + 1);
    });
}

} // namespace
} // namespace cppvm::network
