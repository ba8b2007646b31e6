// The guest's end in one network namespace, the host's in another.

#include "common/async/run.hpp"
#include "common/async/task_group.hpp"
#include "guest-agent/network/name_server.hpp"
#include "host/network/name_relay.hpp"
#include "tests/integration/network/namespace_fixture.hpp"
#include "tests/support/co_test.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

namespace cppvm::network {
namespace {

using asio::ip::tcp;
using asio::ip::udp;
using testing::TestNamespace;

const asio::ip::address server_address = asio::ip::make_address("127.0.0.11");

/// Answers each question with itself in brackets, by UDP and TCP.
class EchoingServer {
  public:
    EchoingServer(const asio::any_io_executor& executor, TestNamespace& in)
        : udp_(executor), tcp_(executor), tasks_(executor, Logger()) {
        in_namespace(in.descriptor(), [&] {
            udp_ = udp::socket(executor, {server_address, 53});
            tcp_ = tcp::acceptor(executor, {server_address, 53});
        });
        tasks_.spawn("udp", serve_udp());
        tasks_.spawn("tcp", serve_tcp());
    }

    Awaitable<> stop() { co_await tasks_.stop(); }

  private:
    Awaitable<> serve_udp() {
        for (;;) {
            std::string question(512, '\0');
            udp::endpoint from;
            question.resize(
                co_await udp_.async_receive_from(asio::buffer(question), from, asio::use_awaitable)
            );
            co_await udp_.async_send_to(
                asio::buffer("[" + question + "]"), from, asio::use_awaitable
            );
        }
    }

    Awaitable<> serve_tcp() {
        for (;;) {
            tcp::socket client = co_await tcp_.async_accept(asio::use_awaitable);
            std::string question(2, '\0');
            co_await asio::async_read(client, asio::buffer(question), asio::use_awaitable);
            question.resize(static_cast<std::uint8_t>(question[1]));
            co_await asio::async_read(client, asio::buffer(question), asio::use_awaitable);
            std::string answer = std::string(2, '\0') + "[" + question + "]";
            answer[1] = static_cast<char>(answer.size() - 2);
            co_await asio::async_write(client, asio::buffer(answer), asio::use_awaitable);
        }
    }

    udp::socket udp_;
    tcp::acceptor tcp_;
    TaskGroup tasks_;
};

class NameRelayTest : public ::testing::Test {
  protected:
    NameRelayTest() {
        host_.set_up("lo");
        guest_.set_up("lo");
    }

    /// Runs `body` with both ends joined, and a name server on the host's side if `with_server`.
    void run(bool with_server, std::function<Awaitable<>()> body) {
        cppvm::testing::co_test(
            [](NameRelayTest& test, bool serves, std::function<Awaitable<>()> ask) -> Awaitable<> {
                const auto executor = co_await asio::this_coro::executor;
                std::optional<EchoingServer> server;
                if (serves) {
                    server.emplace(executor, test.host_);
                }
                asio::local::stream_protocol::socket ours(executor);
                asio::local::stream_protocol::socket theirs(executor);
                asio::local::connect_pair(ours, theirs);
                NameRelay relay(executor, Logger(), test.host_.descriptor(), server_address);
                std::optional<guest::NameServer> front;
                in_namespace(test.guest_.descriptor(), [&] {
                    front.emplace(executor, Logger(), server_address);
                });
                TaskGroup tasks(executor, Logger());
                tasks.spawn("relay", relay.run(StreamSocket(std::move(ours))));
                tasks.spawn("front", front->run(StreamSocket(std::move(theirs))));
                co_await ask();
                co_await tasks.stop();
                if (server) {
                    co_await server->stop();
                }
            }(*this, with_server, std::move(body))
        );
    }

    udp::socket udp_client(const asio::any_io_executor& executor) {
        udp::socket client(executor);
        in_namespace(guest_.descriptor(), [&] { client.open(udp::v4()); });
        client.connect({server_address, 53});
        return client;
    }

    TestNamespace host_;
    TestNamespace guest_;
};

TEST_F(NameRelayTest, CarriesQuestionsAndAnswersByUdp) {
    run(true, [this]() -> Awaitable<> {
        const auto executor = co_await asio::this_coro::executor;
        auto one = udp_client(executor);
        auto other = udp_client(executor);
        co_await one.async_send(asio::buffer("one", 3), asio::use_awaitable);
        co_await other.async_send(asio::buffer("other", 5), asio::use_awaitable);
        for (auto* const client : {&other, &one}) {
            std::string answer(512, '\0');
            answer.resize(co_await client->async_receive(asio::buffer(answer), asio::use_awaitable)
            );
            EXPECT_EQ(answer, client == &one ? "[one]" : "[other]");
        }
    });
}

TEST_F(NameRelayTest, CarriesQuestionsAndAnswersByTcp) {
    run(true, [this]() -> Awaitable<> {
        tcp::socket client(co_await asio::this_coro::executor);
        in_namespace(guest_.descriptor(), [&] { client.open(tcp::v4()); });
        co_await client.async_connect({server_address, 53}, asio::use_awaitable);
        for (int i = 0; i < 2; ++i) {
            co_await asio::async_write(client, asio::buffer("\0\5hello", 7), asio::use_awaitable);
            std::string answer(9, '\0');
            co_await asio::async_read(client, asio::buffer(answer), asio::use_awaitable);
            EXPECT_EQ(answer, std::string("\0\7[hello]", 9));
        }
    });
}

TEST_F(NameRelayTest, GoesOnWhereNobodyAnswers) {
    run(false, [this]() -> Awaitable<> {
        const auto executor = co_await asio::this_coro::executor;
        auto client = udp_client(executor);
        co_await client.async_send(asio::buffer("x", 1), asio::use_awaitable);
        EchoingServer server(executor, host_); // it starts late
        std::string answer;
        while (answer != "[again]") { // the first question may still be answered
            co_await client.async_send(asio::buffer("again", 5), asio::use_awaitable);
            answer.resize(512);
            answer.resize(co_await client.async_receive(asio::buffer(answer), asio::use_awaitable));
        }
        co_await server.stop();
    });
}

TEST_F(NameRelayTest, SaysThatThePortIsTaken) {
    asio::io_context loop;
    udp::socket taken(loop);
    in_namespace(guest_.descriptor(), [&] { taken = udp::socket(loop, {server_address, 53}); });
    try {
        in_namespace(guest_.descriptor(), [&] {
            const guest::NameServer server(loop.get_executor(), Logger(), server_address);
        });
        FAIL() << "there are two";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::already_exists);
    }
}

} // namespace
} // namespace cppvm::network
