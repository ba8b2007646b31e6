// Sockets of the host's that a container can connect to.

#include "common/async/timeout.hpp"
#include "common/os/file.hpp"
#include "common/os/unix_connection.hpp"
#include "common/stream/frame_writer.hpp"
#include "tests/integration/guest/agent_test.hpp"

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <optional>
#include <sys/stat.h>

namespace cppvm::testing {
namespace {

namespace fs = std::filesystem;
using Socket = agent::v2::CreateContainerRequest::Socket;

class AgentSocketTest : public AgentTest {
  protected:
    static Socket socket(std::uint64_t number) {
        Socket socket;
        socket.set_number(number);
        socket.set_uid(1);
        socket.set_gid(2);
        socket.set_mode(0620);
        return socket;
    }

    static agent::v2::CreateContainerRequest offering(const std::vector<Socket>& sockets) {
        agent::v2::CreateContainerRequest request;
        request.mutable_sockets()->Assign(sockets.begin(), sockets.end());
        return request;
    }

    Json spec(int number) const {
        Json spec = make_spec(agent, "c1", {"sleep", "1000"});
        spec["mounts"].push_back(
            {{"destination", "/run/host.sock"},
             {"type", "bind"},
             {"source", (agent.share() / "sockets" / std::to_string(number)).native()},
             {"options", {"rbind", "ro"}}}
        );
        return spec;
    }

    /// The socket, as the container's init has it.
    fs::path in_container() const {
        const std::string pids = read_file(agent.cgroup() / "c1/cgroup.procs", 100);
        return fs::path("/proc") / pids.substr(0, pids.find('\n')) / "root/run/host.sock";
    }

    static Awaitable<agent::v2::Event::SocketConnection>
    next_connection(ttrpc::ReplyReader<agent::v2::Event>& events) {
        for (;;) {
            const auto event = co_await events.receive();
            if (!event) {
                throw Error(Code::unavailable, "no more events");
            }
            if (event->has_socket_connection()) {
                co_return event->socket_connection();
            }
        }
    }

    Awaitable<> end(HostSide& host) {
        co_await host.signal("c1", 9);
        co_await host.wait("c1");
        co_await host.remove("c1");
    }
};

Awaitable<> expect_end(asio::local::stream_protocol::socket& client) {
    char byte = 0;
    auto [error, size] = co_await client.async_read_some(asio::buffer(&byte, 1), use_tuple);
    EXPECT_TRUE(error) << "a byte came";
}

TEST_F(AgentSocketTest, LetsTheHostComeForAConnection) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await host.create("c1", spec(7), {}, offering({socket(7)}));
        struct stat status{};
        EXPECT_EQ(::stat(in_container().c_str(), &status), 0);
        EXPECT_TRUE(S_ISSOCK(status.st_mode));
        EXPECT_EQ(status.st_mode & 07777U, 0620U);
        EXPECT_EQ(status.st_uid, 1U);
        EXPECT_EQ(status.st_gid, 2U);

        auto client = co_await connect_unix(in_container());
        std::optional<std::uint64_t> told;
        // A further call of Events, as after a lost connection, tells of it again.
        for (int call = 0; call < 2; ++call) {
            auto events = co_await host.rpc().events({});
            const auto connection = co_await next_connection(events);
            EXPECT_EQ(connection.socket(), 7U);
            EXPECT_EQ(connection.connection(), told.value_or(connection.connection()));
            told = connection.connection();
        }
        auto guest =
            co_await HostSide::dial(agent, {wire::ConnectionKind::socket, told.value(), 1});
        co_await asio::async_write(client, asio::buffer(std::string("ping")), asio::use_awaitable);
        const std::string ping = co_await read_frame(guest);
        EXPECT_EQ(ping, "ping");
        client.shutdown(asio::socket_base::shutdown_send);
        const std::string end_of_client = co_await read_frame(guest);
        EXPECT_EQ(end_of_client, "");
        co_await stream::write_frame(guest, asio::buffer(std::string("pong")));
        co_await stream::write_frame(guest, asio::const_buffer());
        std::string pong(4, '\0');
        co_await asio::async_read(client, asio::buffer(pong), asio::use_awaitable);
        EXPECT_EQ(pong, "pong");
        co_await expect_end(client);
        co_await end(host);
    });
}

TEST_F(AgentSocketTest, ClosesWhatTheHostCannotReach) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await host.create("c1", spec(1), {}, offering({socket(1)}));
        auto events = co_await host.rpc().events({});
        auto client = co_await connect_unix(in_container());
        const auto connection = co_await next_connection(events);
        co_await HostSide::dial(agent, {wire::ConnectionKind::socket, connection.connection(), 0});
        co_await expect_end(client);
        const Status again = co_await failure_of(
            HostSide::dial(agent, {wire::ConnectionKind::socket, connection.connection(), 1})
        );
        EXPECT_NE(again.code, Code::ok);
        co_await end(host);
    });
}

TEST_F(AgentSocketTest, DropsWhatWaitsWithTheContainer) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await host.create("c1", spec(1), {}, offering({socket(1), socket(2)}));
        auto events = co_await host.rpc().events({});
        auto client = co_await connect_unix(in_container());
        const auto connection = co_await next_connection(events);
        co_await end(host);
        co_await expect_end(client);
        const Status late = co_await failure_of(
            HostSide::dial(agent, {wire::ConnectionKind::socket, connection.connection(), 1})
        );
        EXPECT_NE(late.code, Code::ok);
        // Its name is free again.
        co_await host.create("c1", spec(1), {}, offering({socket(1)}));
        co_await end(host);
    });
}

// A socket in a directory of the host's that has gone since the host looked leaves no file there.
TEST_F(AgentSocketTest, MountsOverASocketOfADirectoryOnlyIfThatIsThere) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const fs::path root = agent.share() / "c1/rootfs";
        fs::create_directories(root / "plugins");
        fs::copy_file(root / "bin/busybox", root / "plugins/there");
        Json both = spec(1);
        for (const char* name : {"there", "gone"}) {
            both["mounts"].push_back(
                {{"destination", std::string("/plugins/") + name},
                 {"type", "cppvm-socket"},
                 {"source", (agent.share() / "sockets/1").native()},
                 {"options", {"bind"}}}
            );
        }
        co_await host.create("c1", both, {}, offering({socket(1)}));
        const fs::path seen = in_container().parent_path().parent_path() / "plugins";
        EXPECT_TRUE(fs::is_socket(seen / "there"));
        EXPECT_FALSE(fs::exists(seen / "gone"));
        EXPECT_FALSE(fs::exists(root / "plugins/gone"));
        co_await end(host);
    });
}

// What a restart of the host's server does. Here the kernel takes the mount away because
// its place is removed from another mount namespace; where the place is on virtiofs, because the
// name has become another file's.
TEST_F(AgentSocketTest, MountsOverTheNextSocketOfThatName) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const fs::path root = agent.share() / "c1/rootfs";
        const fs::path place = root / "plugins/csi.sock";
        const auto make_place = [&] { fs::copy_file(root / "bin/busybox", place); };
        fs::create_directories(root / "plugins");
        make_place();
        Json again = spec(1);
        again["mounts"].push_back(
            {{"destination", "/plugins/csi.sock"},
             {"type", "cppvm-socket"},
             {"source", (agent.share() / "sockets/2").native()},
             {"options", {"bind"}}}
        );
        co_await host.create("c1", again, {}, offering({socket(1), socket(2)}));
        co_await host.start("c1");
        const fs::path seen = in_container().parent_path().parent_path() / "plugins/csi.sock";
        for (int turn = 0; turn < 3; ++turn) {
            EXPECT_TRUE(co_await eventually([&] { return fs::is_socket(seen); }));
            fs::remove(place);
            EXPECT_FALSE(fs::exists(seen));
            make_place();
        }
        co_await end(host);
    });
}

TEST_F(AgentSocketTest, LeavesNothingOfACreateThatFails) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const Status twice =
            co_await failure_of(host.create("c1", spec(1), {}, offering({socket(1), socket(1)})));
        EXPECT_THAT(twice.message, ::testing::HasSubstr("sockets/1"));
        const Status missing =
            co_await failure_of(host.create("c1", spec(2), {}, offering({socket(1)})));
        EXPECT_THAT(missing.message, ::testing::HasSubstr("sockets/2"));
        co_await host.create("c1", spec(1), {}, offering({socket(1)}));
        co_await end(host);
    });
}

} // namespace
} // namespace cppvm::testing
