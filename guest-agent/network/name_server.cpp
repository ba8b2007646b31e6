#include "guest-agent/network/name_server.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/base/scope_exit.hpp"
#include "common/stream/name_message_tcp.hpp"

#include <utility>
#include <vector>

namespace cppvm::guest {

namespace {

constexpr std::chrono::seconds answer_limit{20};

template <class Socket, class Endpoint>
void open(Socket& socket, const Endpoint& endpoint) {
    boost::system::error_code error;
    socket.open(endpoint.protocol(), error);
    if (!error) {
        socket.bind(endpoint, error);
    }
    if (error) {
        throw Error(
            Code::already_exists,
            "listen at " + endpoint.address().to_string() + " port 53: " + error.message()
        );
    }
}

} // namespace

NameServer::NameServer(
    const asio::any_io_executor& executor, Logger logger, const asio::ip::address& address
)
    : executor_(executor), udp_(executor), tcp_(executor), tasks_(executor, std::move(logger)) {
    open(udp_, asio::ip::udp::endpoint(address, wire::name_port));
    open(tcp_, asio::ip::tcp::endpoint(address, wire::name_port));
    tcp_.listen();
}

Awaitable<> NameServer::run(StreamSocket host) {
    stream::NameConnection connection(std::move(host));
    tasks_.spawn("questions by UDP", receive(connection));
    tasks_.spawn("questions by TCP", accept(connection));
    co_await tasks_.stop_after(connection.run([this](const wire::NameMessage& answer) {
        hear(answer);
    }));
}

void NameServer::hear(const wire::NameMessage& answer) {
    if (answer.tcp) {
        const auto found = askers_.find(answer.asker);
        if (found != askers_.end()) {
            found->second->answer = answer.message;
            found->second->answered.set();
        }
        return;
    }
    const Sender& sender = senders_[answer.asker % max_senders];
    if (sender.asker == answer.asker && sender.endpoint.port() != 0) {
        boost::system::error_code ignored; // it has gone
        udp_.non_blocking(true, ignored);
        udp_.send_to(asio::buffer(answer.message), sender.endpoint, 0, ignored);
    }
}

Awaitable<> NameServer::receive(stream::NameConnection& host) {
    std::vector<char> bytes(wire::max_name_message);
    for (;;) {
        asio::ip::udp::endpoint from;
        auto [error, size] = co_await udp_.async_receive_from(asio::buffer(bytes), from, use_tuple);
        if (error == asio::error::operation_aborted) {
            throw boost::system::system_error(error);
        }
        if (!error) { // else one that did not want its answer (ECONNREFUSED)
            const std::uint32_t asker = ++last_asker_;
            senders_[asker % max_senders] = {asker, from};
            host.send({asker, false, std::string(bytes.data(), size)});
        }
    }
}

Awaitable<> NameServer::accept(stream::NameConnection& host) {
    for (;;) {
        auto [error, client] = co_await tcp_.async_accept(use_tuple);
        if (error == asio::error::operation_aborted) {
            throw boost::system::system_error(error);
        }
        if (!error && tasks_.size() < max_connections) {
            tasks_.spawn("questions of a connection", serve(std::move(client), host));
        }
    }
}

// One question after the other, as resolvers ask.
Awaitable<> NameServer::serve(asio::ip::tcp::socket client, stream::NameConnection& host) {
    try {
        for (;;) {
            std::string question = co_await stream::read_name_message(client);
            Asker asker(executor_);
            const std::uint32_t number = ++last_asker_;
            askers_.emplace(number, &asker);
            const ScopeExit forget([&] { askers_.erase(number); });
            host.send({number, true, std::move(question)});
            co_await with_timeout(asker.answered.wait(), deadline_in(answer_limit), "ask the host");
            co_await stream::write_name_message(client, asker.answer);
        }
    } catch (const boost::system::system_error& error) {
        if (error.code() == asio::error::operation_aborted) {
            throw;
        }
    } catch (const Error&) { // NOLINT(bugprone-empty-catch): no answer in time; it asks again
    }
}

} // namespace cppvm::guest
