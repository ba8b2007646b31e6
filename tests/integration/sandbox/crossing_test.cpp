// What crosses the border beside fifos and files: streaming servers, and sockets of the host's.

#include "common/async/with_undo.hpp"
#include "common/oci/spec_json.hpp"
#include "common/stream/frame_writer.hpp"
#include "common/wire/ports.hpp"
#include "common/wire/stream_frame.hpp"
#include "tests/integration/sandbox/sandbox_fixture.hpp"
#include "tests/support/fake_streaming_server.hpp"

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <gmock/gmock.h>

namespace cppvm::sandbox {
namespace {

using testing::FakeStreamingServer;
using ::testing::HasSubstr;
using Server = asio::local::stream_protocol::acceptor;

class CrossingTest : public SandboxTest {
  protected:
    using Body = std::function<Awaitable<>(Bench&, FakeStreamingServer&)>;

    void with_streams(Body body) {
        with_sandbox(sandbox_spec(), [this, &body](Bench& bench) -> Awaitable<> {
            bench.sandbox.boot();
            FakeStreamingServer server(co_await asio::this_coro::executor, path("streams"));
            co_await with_undo(body(bench, server), [&] { return server.stop(); });
            co_await server.stop();
        });
    }

    static StreamSocket take(Bench& bench, std::uint64_t number) {
        StreamSocket socket = std::move(bench.hypervisor.streams.at(number));
        bench.hypervisor.streams.erase(number);
        return socket;
    }

    /// A sandbox whose configuration opens the socket, and a container that mounts it.
    SandboxSpec open_spec() const {
        SandboxSpec spec = sandbox_spec();
        spec.config.sockets.host_to_guest = {path("host.sock")};
        return spec;
    }

    void write_socket_config() const {
        write_config(
            R"({"ociVersion": "1.0.2", "root": {"path": "rootfs"},
                "process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
                "mounts": [{"destination": "/run/s", "type": "bind", "options": ["rbind"],
                            "source": ")" +
            path("host.sock").native() +
            R"("}], "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]}})"
        );
    }

    static void tell_connection(Bench& bench, std::uint64_t socket, std::uint64_t connection) {
        agent::v2::Event event;
        event.mutable_socket_connection()->set_socket(socket);
        event.mutable_socket_connection()->set_connection(connection);
        bench.hypervisor.agent.tell(std::move(event));
    }
};

TEST_F(CrossingTest, CarriesStdioToAStreamingServer) {
    with_streams([this](Bench& bench, FakeStreamingServer& server) -> Awaitable<> {
        TaskSpec spec = container("c1");
        spec.stdio.stdin_uri = server.uri("c1-stdin");
        spec.stdio.stdout_uri = server.uri("c1-stdout");
        co_await bench.sandbox.create(spec);
        auto in = co_await server.accept("c1-stdin");
        auto out = co_await server.accept("c1-stdout");
        EXPECT_EQ(out->containerd_namespace, "tests");
        const auto c1 = bench.sandbox.task("c1");
        co_await c1->start("");
        EXPECT_EQ(c1->status("").stdio.stdout_uri, spec.stdio.stdout_uri);
        EXPECT_EQ(c1->status("").stdio.stdin_uri, spec.stdio.stdin_uri);

        const auto stdio = bench.hypervisor.agent.stdio("c1", "");
        StreamSocket guest_in = take(bench, stdio.stdin_stream());
        StreamSocket guest_out = take(bench, stdio.stdout_stream());
        co_await out->grant(1000);
        co_await stream::write_frame(guest_out, asio::buffer(std::string("to out")));
        co_await stream::write_frame(guest_out, asio::const_buffer());
        const std::string output = co_await out->receive_data();
        EXPECT_EQ(output, "to out");
        co_await in->send("to in");
        std::string framed(wire::frame_header_size + 5, '\0');
        co_await asio::async_read(guest_in, asio::buffer(framed), asio::use_awaitable);
        EXPECT_EQ(framed.substr(wire::frame_header_size), "to in");

        bench.hypervisor.agent.exit_process("c1", "", 0);
        const std::string end = co_await out->receive_data();
        EXPECT_EQ(end, "");
        out->end();
        co_await c1->wait("");
        co_await bench.sandbox.remove("c1", "");
    });
}

TEST_F(CrossingTest, FailsToCreateWithAStreamThatTheServerDoesNotKnow) {
    with_streams([this](Bench& bench, FakeStreamingServer& server) -> Awaitable<> {
        server.known = {"c1-stdout"};
        TaskSpec spec = container("c1");
        spec.stdio.stdout_uri = server.uri("c1-stdout");
        spec.stdio.stderr_uri = server.uri("c1-stderr");
        const Status status = co_await status_of(bench.sandbox.create(spec));
        EXPECT_EQ(status.code, Code::failed_precondition); // NotFound would be of the container
        EXPECT_THAT(status.message, HasSubstr("create task c1: open stream 'c1-stderr' at"));
        EXPECT_TRUE(bench.sandbox.empty());
        EXPECT_EQ(bench.hypervisor.agent.process_count(), 0U);
    });
}

// Its reader grants nothing and does not go: neither holds up the end.
TEST_F(CrossingTest, DeletesAContainerWhoseReaderIsStuck) {
    with_streams([this](Bench& bench, FakeStreamingServer& server) -> Awaitable<> {
        TaskSpec spec = container("c1");
        spec.stdio.stdout_uri = server.uri("c1-stdout");
        co_await bench.sandbox.create(spec);
        auto out = co_await server.accept("c1-stdout");
        const auto c1 = bench.sandbox.task("c1");
        co_await c1->start("");
        StreamSocket guest_out =
            take(bench, bench.hypervisor.agent.stdio("c1", "").stdout_stream());
        co_await stream::write_frame(guest_out, asio::buffer(std::string("never read")));
        bench.hypervisor.agent.exit_process("c1", "", 0);
        co_await c1->wait("");
        co_await bench.sandbox.remove("c1", "");
        EXPECT_TRUE(bench.sandbox.empty());
    });
}

TEST_F(CrossingTest, JoinsAContainerToASocketOfTheHost) {
    write_socket_config();
    with_sandbox(open_spec(), [this](Bench& bench) -> Awaitable<> {
        const auto executor = co_await asio::this_coro::executor;
        Server server(executor, asio::local::stream_protocol::endpoint(path("host.sock").native()));
        ::chmod(path("host.sock").c_str(), 0640);
        bench.sandbox.boot();
        co_await bench.sandbox.create(container("c1"));
        const auto& request = bench.hypervisor.agent.created;
        EXPECT_EQ(request.sockets_size(), 1);
        const auto socket = request.sockets().at(0);
        EXPECT_EQ(socket.mode(), 0640U);
        EXPECT_EQ(socket.uid(), ::geteuid());
        const auto spec = oci::parse_spec(request.spec()).value;
        EXPECT_EQ(
            spec.mounts.at(0).source,
            std::string(wire::guest_sockets_path) + "/" + std::to_string(socket.number())
        );
        EXPECT_THAT(request.spec(), ::testing::Not(HasSubstr("host.sock")));

        tell_connection(bench, socket.number() + 1, 999'998); // there is no such socket
        tell_connection(bench, socket.number(), 999'999);
        auto client = co_await server.async_accept(asio::use_awaitable);
        co_await until([&] { return bench.hypervisor.streams.contains(999'999); });
        EXPECT_FALSE(bench.hypervisor.streams.contains(999'998));
        StreamSocket guest = take(bench, 999'999);
        co_await stream::write_frame(guest, asio::buffer(std::string("ping")));
        std::string text(4, '\0');
        co_await asio::async_read(client, asio::buffer(text), asio::use_awaitable);
        EXPECT_EQ(text, "ping");

        co_await bench.sandbox.remove("c1", "");
        auto [error, size] = co_await client.async_read_some(asio::buffer(text), use_tuple);
        EXPECT_TRUE(error) << "the connection outlives the container";
        tell_connection(bench, socket.number(), 1'000'000);
        co_await until([&] { return bench.hypervisor.agent.process_count() == 0; });
        EXPECT_FALSE(bench.hypervisor.streams.contains(1'000'000));
    });
}

TEST_F(CrossingTest, RefusesASocketThatIsNotOpened) {
    write_socket_config();
    with_sandbox(sandbox_spec(), [this](Bench& bench) -> Awaitable<> {
        const auto executor = co_await asio::this_coro::executor;
        Server server(executor, asio::local::stream_protocol::endpoint(path("host.sock").native()));
        bench.sandbox.boot();
        const Status status = co_await status_of(bench.sandbox.create(container("c1")));
        EXPECT_THAT(status.message, HasSubstr("sockets.host_to_guest"));
    });
}

} // namespace
} // namespace cppvm::sandbox
