#include "common/wire/preamble.hpp"
#include "tests/integration/guest/agent_test.hpp"

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <csignal>

namespace cppvm::testing {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class AgentStdioTest : public AgentTest {
  protected:
    static Awaitable<> end_container(HostSide& host) {
        co_await host.signal("c1", SIGKILL);
        co_await host.wait("c1");
        co_await host.remove("c1");
    }
};

std::string make_noise(std::size_t size) {
    std::string data(size, '\0');
    std::uint32_t state = 12345;
    for (char& byte : data) {
        state = state * 1664525 + 1013904223;
        byte = static_cast<char>(state >> 24);
    }
    return data;
}

TEST_F(AgentStdioTest, CarriesEightMebibytesUnchanged) {
    run_test([this](HostSide& host) -> Awaitable<> {
        const std::string data = make_noise(8UL * 1024 * 1024);
        const RunResult result = co_await host.run("c1", make_spec(agent, "c1", {"cat"}), data);
        EXPECT_EQ(result.output.size(), data.size());
        EXPECT_TRUE(result.output == data);
        EXPECT_EQ(result.status, 0U);
    });
}

TEST_F(AgentStdioTest, GivesDevNullForMissingStreams) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await host.create(
            "c1", make_script_spec(agent, "c1", "cat; echo x; echo y >&2; test -c /proc/self/fd/0")
        );
        co_await host.start("c1");
        const unsigned status = co_await host.wait("c1");
        EXPECT_EQ(status, 0U);
        co_await host.remove("c1");
    });
}

TEST_F(AgentStdioTest, SlowReaderHoldsUpOnlyItsOwnStream) {
    run_test([this](HostSide& host) -> Awaitable<> {
        auto [output_id, output] = co_await host.open_stream();
        auto [errors_id, errors] = co_await host.open_stream();
        agent::v2::Stdio stdio;
        stdio.set_stdout_stream(output_id);
        stdio.set_stderr_stream(errors_id);
        co_await host.create(
            "c1",
            make_script_spec(
                agent,
                "c1",
                "(dd if=/dev/zero bs=65536 count=160 2>/dev/null; echo done >&2) & "
                "echo early >&2; wait"
            ),
            stdio
        );
        co_await host.start("c1");
        // Nobody reads stdout: 10 MiB do not fit into what lies between, so the writer waits.
        std::string words = co_await read_frame(errors);
        EXPECT_EQ(words, "early\n");
        const RunResult other = co_await host.run_exec("c1", "e1", make_process({"echo", "free"}));
        EXPECT_EQ(other.output, "free\n");
        const std::string data = co_await read_stream(output);
        EXPECT_EQ(data.size(), 160U * 65536U);
        words = co_await read_stream(errors, words.size());
        EXPECT_EQ(words, "done\n");
        co_await host.wait("c1");
        co_await host.remove("c1");
    });
}

TEST_F(AgentStdioTest, ClosesInputThatTheProcessClosed) {
    run_test([this](HostSide& host) -> Awaitable<> {
        auto [stream_id, input] = co_await host.open_stream();
        agent::v2::Stdio stdio;
        stdio.set_stdin_stream(stream_id);
        co_await host.create(
            "c1", make_script_spec(agent, "c1", "exec 0</dev/null; sleep 1000"), stdio
        );
        co_await host.start("c1");
        // Without anything being written.
        const std::uint64_t confirmation = co_await read_confirmation(input);
        EXPECT_EQ(confirmation, wire::stream_refused);
        input.close();
        co_await end_container(host);
    });
}

TEST_F(AgentStdioTest, ReportsExitWhileGrandchildrenHoldThePipes) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await host.create("c1", make_spec(agent, "c1", {"sleep", "1000"}));
        co_await host.start("c1");
        auto [stream_id, output] = co_await host.open_stream();
        agent::v2::ExecRequest request;
        request.set_container_id("c1");
        request.set_exec_id("e1");
        request.set_process(make_process({"sh", "-c", "sleep 1000 & echo hello"}).dump());
        request.mutable_stdio()->set_stdout_stream(stream_id);
        RunningExec exec = co_await host.start_exec(request);
        const unsigned status = co_await exec.wait();
        EXPECT_EQ(status, 0U);
        const std::string words = co_await read_frame(output);
        EXPECT_EQ(words, "hello\n");
        co_await host.remove("c1", "e1"); // ends the stream, which nobody else would
        std::uint8_t nothing = 0;
        auto [error, size] =
            co_await asio::async_read(output, asio::buffer(&nothing, 1), use_tuple);
        EXPECT_TRUE(error);
        co_await exec.wait_forgotten();
        const Status forgotten = co_await failure_of(host.remove("c1", "e1"));
        EXPECT_EQ(forgotten.code, Code::not_found);
        co_await end_container(host);
    });
}

TEST_F(AgentStdioTest, LeavesStdioOpenForTheContainersUser) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Json spec = make_script_spec(agent, "c1", "echo again > /dev/stdout");
        spec["process"]["user"] = {{"uid", 1000}, {"gid", 1000}};
        const RunResult result = co_await host.run("c1", spec);
        EXPECT_EQ(result.output, "again\n");
        EXPECT_EQ(result.errors, "");
    });
}

TEST_F(AgentStdioTest, RefusesIdsThatAreZeroTakenOrUnknown) {
    run_test([this](HostSide& host) -> Awaitable<> {
        Status status =
            co_await failure_of(HostSide::dial(agent, {wire::ConnectionKind::stdio, 0}));
        EXPECT_EQ(status.code, Code::failed_precondition);
        {
            StreamSocket first = co_await HostSide::dial(agent, {wire::ConnectionKind::stdio, 77});
            status = co_await failure_of(HostSide::dial(agent, {wire::ConnectionKind::stdio, 77}));
            EXPECT_EQ(status.code, Code::failed_precondition);
            // A create that fails takes the connections that it names along.
            agent::v2::Stdio stdio;
            stdio.set_stdin_stream(77);
            stdio.set_stdout_stream(78);
            status =
                co_await failure_of(host.create("c1", make_spec(agent, "c1", {"true"}), stdio));
            EXPECT_EQ(status.code, Code::failed_precondition);
            EXPECT_THAT(status.message, HasSubstr("no stream is parked under id 78"));
        }
    });
}

TEST_F(AgentStdioTest, RefusesABadPreamble) {
    run_test([this](HostSide&) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        StreamSocket socket(executor);
        const StreamSocket::endpoint_type address =
            asio::local::stream_protocol::endpoint(agent.socket_path());
        co_await socket.async_connect(address, asio::use_awaitable);
        const std::string noise(wire::preamble_size, 'x');
        co_await asio::async_write(socket, asio::buffer(noise), asio::use_awaitable);
        std::array<std::uint8_t, wire::preamble_answer_size> answer{};
        co_await asio::async_read(socket, asio::buffer(answer), asio::use_awaitable);
        EXPECT_EQ(answer[0], wire::refused);
        auto [error, size] =
            co_await asio::async_read(socket, asio::buffer(answer.data(), 1), use_tuple);
        EXPECT_TRUE(error);
    });
}

class AgentTerminalTest : public AgentTest {
  protected:
    Json make_terminal_spec(const std::string& script) {
        Json spec = make_script_spec(agent, "c1", script);
        spec["process"]["terminal"] = true;
        return spec;
    }
};

/// Reads frames until the text so far satisfies `end`.
Awaitable<std::string> read_until(StreamSocket& stream, std::string end) {
    std::string text;
    while (text.find(end) == std::string::npos) {
        const std::string payload = co_await read_frame(stream);
        if (payload.empty()) {
            ADD_FAILURE() << "the stream ended; so far: " << text;
            break;
        }
        text += payload;
    }
    co_return text;
}

TEST_F(AgentTerminalTest, GivesATerminalThatCanBeResized) {
    run_test([this](HostSide& host) -> Awaitable<> {
        auto [input_id, input] = co_await host.open_stream();
        auto [output_id, output] = co_await host.open_stream();
        agent::v2::Stdio stdio;
        stdio.set_terminal(true);
        stdio.set_stdin_stream(input_id);
        stdio.set_stdout_stream(output_id);
        stdio.set_console_width(100);
        stdio.set_console_height(40);
        co_await host.create(
            "c1",
            make_terminal_spec(
                "stty -echo; tty; stty size; test /dev/console -ef /dev/pts/0 || ls -l "
                "/dev/console; "
                "trap 'stty size; exit 4' WINCH; echo ready; while read x; do echo got $x; done"
            ),
            stdio
        );
        co_await host.start("c1");
        const std::string text = co_await read_until(output, "ready\r\n");
        EXPECT_THAT(text, StartsWith("/dev/pts/0\r\n40 100\r\n"));
        co_await write_stream(input, "hello\n");
        const std::string echo = co_await read_until(output, "got hello\r\n");
        EXPECT_THAT(echo, EndsWith("got hello\r\n"));
        // The end of input does not hang the terminal up.
        co_await end_stream(input, 6);
        agent::v2::ResizeConsoleRequest request;
        request.mutable_process()->set_container_id("c1");
        request.set_width(81);
        request.set_height(26);
        co_await host.rpc().resize_console(request);
        const std::string rest = co_await read_stream(output);
        EXPECT_THAT(rest, EndsWith("26 81\r\n"));
        const unsigned status = co_await host.wait("c1");
        EXPECT_EQ(status, 4U);
        co_await host.rpc().resize_console(request); // too late, and harmless
        co_await host.remove("c1");
    });
}

TEST_F(AgentTerminalTest, GivesExecsTerminalsOfTheContainer) {
    run_test([this](HostSide& host) -> Awaitable<> {
        co_await host.create("c1", make_spec(agent, "c1", {"sleep", "1000"}));
        co_await host.start("c1");
        auto [stream_id, output] = co_await host.open_stream();
        agent::v2::ExecRequest request;
        request.set_container_id("c1");
        request.set_exec_id("e1");
        Json process = make_process({"sh", "-c", "tty; stty size; ps | grep -c ttyxyz"});
        process["terminal"] = true;
        process["consoleSize"] = {{"height", 12}, {"width", 34}};
        request.set_process(process.dump());
        request.mutable_stdio()->set_terminal(true);
        request.mutable_stdio()->set_stdout_stream(stream_id);
        RunningExec exec = co_await host.start_exec(request);
        const std::string text = co_await read_stream(output);
        EXPECT_THAT(text, StartsWith("/dev/pts/0\r\n12 34\r\n"));
        co_await exec.wait();
        co_await exec.wait_forgotten();
        co_await host.signal("c1", SIGKILL);
        co_await host.wait("c1");
        co_await host.remove("c1");
    });
}

TEST_F(AgentTerminalTest, DoesNotHoldUpAProgramWhoseTerminalNobodyReads) {
    run_test([this](HostSide& host) -> Awaitable<> {
        agent::v2::Stdio stdio;
        stdio.set_terminal(true);
        co_await host.create(
            "c1", make_terminal_spec("dd if=/dev/zero bs=4096 count=64 2>/dev/null; exit 6"), stdio
        );
        co_await host.start("c1");
        const unsigned status = co_await host.wait("c1");
        EXPECT_EQ(status, 6U);
        co_await host.remove("c1");
    });
}

TEST_F(AgentTerminalTest, WorksWithoutADevptsOfTheContainer) {
    run_test([this](HostSide& host) -> Awaitable<> {
        auto [stream_id, output] = co_await host.open_stream();
        agent::v2::Stdio stdio;
        stdio.set_terminal(true);
        stdio.set_stdout_stream(stream_id);
        Json spec = make_terminal_spec("test -t 0 && test -t 1 && echo yes");
        spec["mounts"].erase(2);
        co_await host.create("c1", spec, stdio);
        co_await host.start("c1");
        const std::string text = co_await read_stream(output);
        EXPECT_EQ(text, "yes\r\n");
        co_await host.wait("c1");
        co_await host.remove("c1");
    });
}

TEST_F(AgentTerminalTest, RefusesASecondOutputStream) {
    run_test([this](HostSide& host) -> Awaitable<> {
        auto [stream_id, errors] = co_await host.open_stream();
        agent::v2::Stdio stdio;
        stdio.set_stderr_stream(stream_id);
        const Status status =
            co_await failure_of(host.create("c1", make_terminal_spec("true"), stdio));
        EXPECT_EQ(status.code, Code::invalid_argument);
    });
}

} // namespace
} // namespace cppvm::testing
