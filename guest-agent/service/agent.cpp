#include "guest-agent/service/agent.hpp"

#include "common/async/adopt.hpp"
#include "common/async/timeout.hpp"
#include "common/base/build_id.hpp"
#include "common/base/error.hpp"
#include "common/stream/relay.hpp"
#include "common/wire/ports.hpp"
#include "common/wire/preamble.hpp"
#include "guest-agent/network/name_server.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/endian/conversion.hpp>

#include <array>
#include <cerrno>
#include <ctime>
#include <sys/socket.h>
#include <sys/utsname.h>

namespace cppvm::guest {

namespace {

constexpr auto preamble_limit = std::chrono::seconds(10);
constexpr auto hello_limit = std::chrono::seconds(30);
constexpr auto hello_pause = std::chrono::milliseconds(50);
/// Connections that are served or have yet to say what they are; parked ones count elsewhere.
constexpr std::size_t max_connections = 512;

std::uint64_t now_us() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1000000 +
           static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

agent::v2::Hello make_hello(const std::vector<BootPhase>& phases) {
    agent::v2::Hello hello;
    hello.set_protocol_version(wire::protocol_version);
    hello.set_build_id(std::string(build_id()));
    utsname system{};
    if (::uname(&system) == 0) {
        hello.set_kernel_release(static_cast<const char*>(system.release));
    }
    for (const BootPhase& phase : phases) {
        auto* entry = hello.add_phases();
        entry->set_name(phase.name);
        entry->set_ended_at_us(phase.ended_at_us);
    }
    return hello;
}

/// The answer to a preamble. A few bytes always fit into the buffer of a new connection, so this
/// does not wait: nothing can happen between the answer and what follows it.
bool answer(StreamSocket& socket, const wire::PreambleAnswer& answer) {
    const auto bytes = wire::encode(answer);
    boost::system::error_code error;
    socket.non_blocking(true, error);
    return !error && socket.write_some(asio::buffer(bytes), error) == bytes.size();
}

Awaitable<> exchange_hello(StreamSocket socket, std::string message) {
    std::array<std::uint8_t, 4> header{};
    boost::endian::store_big_u32(header.data(), static_cast<std::uint32_t>(message.size()));
    const std::array<asio::const_buffer, 2> parts{asio::buffer(header), asio::buffer(message)};
    co_await asio::async_write(socket, parts, asio::use_awaitable);
    std::uint8_t verdict = 0;
    co_await asio::async_read(socket, asio::buffer(&verdict, 1), asio::use_awaitable);
    if (verdict != wire::accepted) {
        throw Error(Code::failed_precondition, "the host did not accept it");
    }
}

} // namespace

Agent::Agent(const asio::any_io_executor& executor, Environment& environment, Logger logger)
    : executor_(executor), environment_(environment), logger_(logger), reaper_(executor),
      stdio_(executor, logger),
      sockets_(
          executor, logger, std::filesystem::path(environment.share()) / wire::sockets_directory
      ),
      watches_(executor, logger, environment.share()),
      pod_(reaper_, environment.share(), environment.cgroup_root()),
      containers_(
          {.executor = executor,
           .reaper = reaper_,
           .stdio = stdio_,
           .sockets = sockets_,
           .watches = watches_,
           .pod = pod_,
           .share = environment.share(),
           .cgroup_root = environment.cgroup_root(),
           .on_out_of_memory = [this](const std::string& id) { service_.report_out_of_memory(id); },
           .find_disk = [&environment](
                            std::string serial, Deadline deadline
                        ) { return environment.find_disk(std::move(serial), deadline); },
           .find_pci_device = [&environment](
                                  std::string port, Deadline deadline
                              ) { return environment.find_pci_device(std::move(port), deadline); },
           .logger = logger}
      ),
      clock_([&environment](const ClockChange& change) { environment.change_clock(change); }),
      service_(executor, containers_, sockets_, watches_, pod_, clock_, environment, logger),
      server_(executor, logger), reaping_(executor, logger), tasks_(executor, std::move(logger)) {
    server_.add(service_);
}

Awaitable<> Agent::run() {
    enable_controllers(environment_.cgroup_root(), logger_);
    reaping_.spawn("reaper", reaper_.run());
    tasks_.spawn("listener", accept(environment_.listen()));
    tasks_.spawn("hello", say_hello());
    co_await environment_.wait_end(executor_);
    co_await stop();
}

Awaitable<> Agent::stop() {
    co_await server_.stop();
    co_await tasks_.stop();
    co_await containers_.stop();
    pod_.stop();
    co_await service_.stop();
    co_await sockets_.stop();
    co_await watches_.stop();
    co_await stdio_.stop();
    co_await reaping_.stop();
}

Awaitable<> Agent::say_hello() {
    try {
        const Deadline deadline = deadline_in(hello_limit);
        while (!co_await try_hello(deadline)) {
            asio::steady_timer pause(executor_, hello_pause);
            co_await pause.async_wait(asio::use_awaitable);
        }
        logger_.info("Agent ready", {{"build_id", build_id()}, {"uptime_ms", now_us() / 1000}});
    } catch (const std::exception& error) {
        // The host may still dial, if it can do without.
        logger_.error("Could not send hello to the host", {{"error", error.what()}});
    }
}

// Every guest of the machine can connect to the host's port, for AF_VSOCK knows no namespaces. When
// others have filled its queue, the kernel resets our connection: so a lost one is not the end.
Awaitable<bool> Agent::try_hello(Deadline deadline) {
    try {
        std::optional<StreamSocket> socket =
            co_await with_timeout(environment_.dial_host(), deadline, "connect to the host");
        if (socket) {
            std::vector<BootPhase> phases = environment_.phases();
            phases.push_back({"agent", now_us()});
            co_await with_timeout(
                exchange_hello(std::move(*socket), make_hello(phases).SerializeAsString()),
                deadline,
                "exchange hello"
            );
        }
        co_return true;
    } catch (const boost::system::system_error& error) {
        if (error.code() == asio::error::operation_aborted ||
            std::chrono::steady_clock::now() >= deadline) {
            throw;
        }
        logger_.debug("Sending hello again", {{"error", error.what()}});
        co_return false;
    }
}

Awaitable<> Agent::accept(UniqueFd listener) {
    auto waiting = to_descriptor(executor_, std::move(listener));
    for (;;) {
        co_await waiting.async_wait(asio::posix::descriptor_base::wait_read, asio::use_awaitable);
        sockaddr_storage peer{};
        socklen_t size = sizeof peer;
        UniqueFd connection(::accept4(
            waiting.native_handle(),
            reinterpret_cast<sockaddr*>(&peer),
            &size,
            SOCK_CLOEXEC | SOCK_NONBLOCK
        ));
        if (!connection) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
                logger_.error("Cannot accept a connection", {{"errno", errno}});
                // The connection stays in the queue; at once there would be no more descriptors
                // than now.
                asio::steady_timer pause(executor_, std::chrono::milliseconds(100));
                co_await pause.async_wait(asio::use_awaitable);
            }
            continue;
        }
        if (!environment_.is_from_host(connection.get()) || tasks_.size() >= max_connections) {
            logger_.warn("Connection refused", {{"open", tasks_.size()}});
            continue;
        }
        StreamSocket socket(executor_);
        adopt(socket, std::move(connection), asio::generic::stream_protocol(peer.ss_family, 0));
        tasks_.spawn("connection", serve(std::move(socket)));
    }
}

Awaitable<> Agent::serve(StreamSocket socket) {
    std::array<std::uint8_t, wire::preamble_size> head{};
    try {
        co_await with_timeout(
            [](StreamSocket& from,
               std::array<std::uint8_t, wire::preamble_size>& to) -> Awaitable<> {
                co_await asio::async_read(from, asio::buffer(to), asio::use_awaitable);
            }(socket, head),
            deadline_in(preamble_limit),
            "read preamble"
        );
    } catch (const std::exception& error) {
        logger_.debug("Connection without a preamble", {{"error", error.what()}});
        co_return;
    }
    const auto preamble =
        wire::decode_preamble(std::span<const std::uint8_t, wire::preamble_size>(head));
    if (!preamble) {
        logger_.warn("Bad preamble", {{"error", preamble.error().message()}});
        answer(socket, {});
        co_return;
    }
    switch (preamble->kind) {
    case wire::ConnectionKind::rpc:
        if (answer(socket, {true, 0})) {
            co_await server_.serve_connection(std::move(socket));
        }
        break;
    case wire::ConnectionKind::stdio:
        park(preamble->stream, std::move(socket));
        break;
    case wire::ConnectionKind::resume:
        resume(*preamble, std::move(socket));
        break;
    case wire::ConnectionKind::tcp:
        co_await serve_tcp(*preamble, std::move(socket));
        break;
    case wire::ConnectionKind::names:
        co_await serve_names(*preamble, std::move(socket));
        break;
    case wire::ConnectionKind::socket:
        co_await serve_socket(*preamble, std::move(socket));
        break;
    }
}

Awaitable<> Agent::serve_tcp(wire::Preamble preamble, StreamSocket socket) {
    constexpr std::uint64_t last_port = 0xffff;
    if (preamble.stream == 0 || preamble.stream > last_port) {
        answer(socket, {});
        co_return;
    }
    const auto port = static_cast<asio::ip::port_type>(preamble.stream);
    asio::ip::tcp::endpoint server(asio::ip::address_v4::loopback(), port);
    if (preamble.received == 6) {
        server.address(asio::ip::address_v6::loopback());
    }
    StreamSocket client(executor_);
    auto [error] = co_await client.async_connect(StreamSocket::endpoint_type(server), use_tuple);
    if (error) {
        answer(socket, {});
    } else if (answer(socket, {true, 0})) {
        co_await stream::relay(socket, client);
    }
}

Awaitable<> Agent::serve_names(wire::Preamble preamble, StreamSocket socket) {
    asio::ip::address address = asio::ip::address_v6::loopback();
    if (preamble.received == 4) {
        address = asio::ip::address_v4(static_cast<std::uint32_t>(preamble.stream));
    }
    std::optional<NameServer> server;
    try {
        server.emplace(executor_, logger_, address);
    } catch (const Error& error) {
        logger_.warn("No name server for containers", {{"error", error.message()}});
        answer(socket, {});
        co_return;
    }
    if (answer(socket, {true, 0})) {
        co_await server->run(std::move(socket));
    }
}

Awaitable<> Agent::serve_socket(wire::Preamble preamble, StreamSocket socket) {
    auto client = sockets_.take(preamble.stream);
    const bool is_taken = preamble.received == 1;
    if (answer(socket, {client.has_value(), 0}) && client && is_taken) {
        co_await stream::relay(socket, *client);
    }
}

// Answered and parked in one turn: the request that names the stream may follow the answer at once.
void Agent::park(std::uint64_t id, StreamSocket socket) {
    if (!stdio_.accepts(id)) {
        logger_.warn("Stdio stream refused", {{"stream", id}});
        answer(socket, {});
    } else if (answer(socket, {true, 0})) {
        stdio_.park(id, std::move(socket));
    }
}

void Agent::resume(const wire::Preamble& preamble, StreamSocket socket) {
    const auto stream = stdio_.find(preamble.stream);
    if (!stream) { // it is over, and the host has not heard of that
        answer(socket, {});
    } else if (answer(socket, {true, stream->received})) {
        stream->resume(std::move(socket), preamble.received);
    }
}

} // namespace cppvm::guest
