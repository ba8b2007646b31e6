#include "host/network/name_relay.hpp"

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "common/network/netlink.hpp"
#include "common/stream/name_message_tcp.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>

#include <utility>

namespace cppvm::network {

namespace {

constexpr std::chrono::seconds answer_limit{15};

template <class Socket, class Endpoint>
Socket
open_in(const asio::any_io_executor& executor, int network_namespace, const Endpoint& endpoint) {
    Socket socket(executor);
    in_namespace(network_namespace, [&] { socket.open(endpoint.protocol()); });
    return socket;
}

} // namespace

NameRelay::NameRelay(
    const asio::any_io_executor& executor,
    Logger logger,
    int network_namespace,
    asio::ip::address server
)
    : executor_(executor), logger_(logger), namespace_(network_namespace),
      server_(std::move(server)), tasks_(executor, std::move(logger)) {}

Awaitable<> NameRelay::run(StreamSocket agent) {
    stream::NameConnection connection(std::move(agent));
    co_await tasks_.stop_after(connection.run([&](wire::NameMessage question) {
        if (tasks_.size() < max_questions) {
            tasks_.spawn("question for a name server", ask(std::move(question), connection));
        }
    }));
}

Awaitable<> NameRelay::ask(wire::NameMessage question, stream::NameConnection& agent) {
    try {
        std::string answer = co_await with_timeout(
            question.tcp ? ask_by_tcp(question.message) : ask_by_udp(question.message),
            deadline_in(answer_limit),
            "ask name server " + server_.to_string()
        );
        agent.send({question.asker, question.tcp, std::move(answer)});
    } catch (const boost::system::system_error& error) {
        if (error.code() == asio::error::operation_aborted) {
            throw;
        }
        logger_.debug("No answer of a name server", {{"error", error.what()}});
    } catch (const Error& error) {
        logger_.debug("No answer of a name server", {{"error", error.message()}});
    }
}

Awaitable<std::string> NameRelay::ask_by_udp(const std::string& question) {
    const asio::ip::udp::endpoint server(server_, wire::name_port);
    auto socket = open_in<asio::ip::udp::socket>(executor_, namespace_, server);
    co_await socket.async_connect(server, asio::use_awaitable);
    co_await socket.async_send(asio::buffer(question), asio::use_awaitable);
    std::string answer(wire::max_name_message, '\0');
    answer.resize(co_await socket.async_receive(asio::buffer(answer), asio::use_awaitable));
    co_return answer;
}

Awaitable<std::string> NameRelay::ask_by_tcp(const std::string& question) {
    const asio::ip::tcp::endpoint server(server_, wire::name_port);
    auto socket = open_in<asio::ip::tcp::socket>(executor_, namespace_, server);
    co_await socket.async_connect(server, asio::use_awaitable);
    co_await stream::write_name_message(socket, question);
    co_return co_await stream::read_name_message(socket);
}

} // namespace cppvm::network
