// The connection to the agent breaks while the machine lives: nothing is lost.

#include "common/wire/stream_frame.hpp"
#include "tests/integration/sandbox/sandbox_fixture.hpp"

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <csignal>
#include <fcntl.h>

namespace cppvm::sandbox {
namespace {

std::string frame(const std::string& payload) {
    const auto header = wire::encode_frame_header(static_cast<std::uint32_t>(payload.size()));
    return std::string(header.begin(), header.end()) + payload;
}

class ConnectionLossTest : public SandboxTest {
  protected:
    SandboxSpec quick_spec() const {
        SandboxSpec spec = sandbox_spec();
        spec.timeouts.link.pause = std::chrono::milliseconds(1);
        return spec;
    }

    static Awaitable<std::shared_ptr<Task>> start(Bench& bench, TaskSpec spec) {
        bench.sandbox.boot();
        co_await bench.sandbox.create(std::move(spec));
        auto c1 = bench.sandbox.task("c1");
        co_await c1->start("");
        co_return c1;
    }

    // The agent cannot be dialled until `release_dials`.
    static void hold_dials(Bench& bench) {
        bench.hypervisor.on_dial = [] { throw Error(Code::unavailable, "not yet"); };
    }
    // Returns when the host has noticed, and dials again.
    static Awaitable<> cut(Bench& bench) {
        bool dialled = false;
        bench.hypervisor.on_dial = [&dialled] { dialled = true; };
        bench.hypervisor.cut_connection();
        co_await until([&dialled] { return dialled; });
        bench.hypervisor.on_dial = [] {};
    }

    static void release_dials(Bench& bench) {
        bench.hypervisor.on_dial = [] {};
    }
};

TEST_F(ConnectionLossTest, TellsWhatHappenedMeanwhileOnceAndInOrder) {
    with_sandbox(quick_spec(), [this](Bench& bench) -> Awaitable<> {
        const auto c1 = co_await start(bench, container("c1"));
        c1->add_exec("e1", {}, exec_process);
        co_await c1->start("e1");
        c1->add_exec("e2", {}, exec_process);
        co_await c1->start("e2");
        bench.hypervisor.agent.exit_process("c1", "e1", 1);
        co_await c1->wait("e1");
        hold_dials(bench);
        bench.hypervisor.cut_connection();
        bench.hypervisor.agent.exit_process("c1", "e2", 2);
        bench.hypervisor.agent.exit_process("c1", "", 3);
        for (int turn = 0; turn < 20; ++turn) {
            co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        }
        EXPECT_EQ(c1->status("").phase, ProcessStatus::Phase::running);
        release_dials(bench);
        const Exit exit = co_await c1->wait("");
        EXPECT_EQ(exit.status, 3U);
        const std::vector<std::string> expected = {
            "create c1",
            "start c1",
            "exec-added e1",
            "exec-started e1",
            "exec-added e2",
            "exec-started e2",
            "exit e1 1",
            "exit e2 2",
            "exit c1 3",
        };
        EXPECT_EQ(bench.events.lines, expected);
        EXPECT_EQ(bench.hypervisor.machines, 1);
    });
}

TEST_F(ConnectionLossTest, GoesOnAfterwards) {
    with_sandbox(quick_spec(), [this](Bench& bench) -> Awaitable<> {
        const auto c1 = co_await start(bench, container("c1"));
        for (const std::uint32_t status : {1U, 2U, 3U}) {
            co_await cut(bench);
            const std::string id = "e" + std::to_string(status);
            c1->add_exec(id, {}, exec_process);
            co_await c1->start(id); // waits for the next connection
            bench.hypervisor.agent.exit_process("c1", id, status);
            const Exit exit = co_await c1->wait(id);
            EXPECT_EQ(exit.status, status);
            co_await bench.sandbox.remove("c1", id);
        }
        co_await c1->kill("", SIGKILL, true);
        const Exit exit = co_await c1->wait("");
        EXPECT_EQ(exit.status, 137U);
        EXPECT_EQ(bench.hypervisor.machines, 1);
    });
}

TEST_F(ConnectionLossTest, IgnoresEventsThatItHasHeard) {
    with_sandbox(quick_spec(), [this](Bench& bench) -> Awaitable<> {
        const auto c1 = co_await start(bench, container("c1"));
        c1->add_exec("e1", {}, exec_process);
        co_await c1->start("e1");
        bench.hypervisor.agent.exit_process("c1", "e1", 1); // number 1
        co_await c1->wait("e1");
        agent::v2::Event again;
        again.set_sequence(1);
        again.mutable_exited()->set_process_number(1); // the init's
        bench.hypervisor.agent.tell(again);
        bench.hypervisor.agent.exit_process("c1", "", 3); // number 3
        const Exit exit = co_await c1->wait("");
        EXPECT_EQ(exit.status, 3U);
    });
}

// What became of it in the guest cannot be known: whoever asked is told, and nothing runs unseen.
TEST_F(ConnectionLossTest, FailsAnExecWhoseAnswerIsLost) {
    with_sandbox(quick_spec(), [this](Bench& bench) -> Awaitable<> {
        const auto c1 = co_await start(bench, container("c1"));
        bench.hypervisor.agent.on_call = [&bench](const std::string& rpc) {
            if (rpc == "exec") {
                bench.hypervisor.cut_connection();
                return false;
            }
            return true;
        };
        c1->add_exec("e1", {}, exec_process);
        const Status status = co_await status_of(c1->start("e1"));
        EXPECT_EQ(status.code, Code::unavailable);
        EXPECT_NE(status.message.find("broke during the call"), std::string::npos)
            << status.message;
        EXPECT_EQ(bench.hypervisor.agent.calls.back(), "signal_process");
        const Exit exit = co_await c1->wait("e1");
        EXPECT_EQ(exit.status, 255U);
        EXPECT_EQ(c1->status("").phase, ProcessStatus::Phase::running);
    });
}

TEST_F(ConnectionLossTest, RepeatsAStartWhoseAnswerIsLost) {
    with_sandbox(quick_spec(), [this](Bench& bench) -> Awaitable<> {
        bench.hypervisor.agent.on_call = [&bench, cut = false](const std::string& rpc) mutable {
            if (rpc == "start_container" && !std::exchange(cut, true)) {
                bench.hypervisor.cut_connection();
                return false;
            }
            return true;
        };
        const auto c1 = co_await start(bench, container("c1"));
        EXPECT_EQ(c1->status("").phase, ProcessStatus::Phase::running);
        EXPECT_EQ(std::ranges::count(bench.hypervisor.agent.calls, "start_container"), 2);
    });
}

TEST_F(ConnectionLossTest, RepeatsASigkillWhoseAnswerIsLost) {
    with_sandbox(quick_spec(), [this](Bench& bench) -> Awaitable<> {
        const auto c1 = co_await start(bench, container("c1"));
        bench.hypervisor.agent.on_call = [&bench, cut = false](const std::string& rpc) mutable {
            if (rpc == "signal_process" && !std::exchange(cut, true)) {
                bench.hypervisor.cut_connection();
                return false;
            }
            return true;
        };
        co_await c1->kill("", SIGKILL, true);
        const Exit exit = co_await c1->wait("");
        EXPECT_EQ(exit.status, 137U);
        EXPECT_EQ(bench.hypervisor.machines, 1);
    });
}

TEST_F(ConnectionLossTest, EndsAMachineThatBreaksItsConnectionAgainAndAgain) {
    with_sandbox(quick_spec(), [this](Bench& bench) -> Awaitable<> {
        const auto c1 = co_await start(bench, container("c1"));
        bench.hypervisor.serve_rpc = [](StreamSocket) -> Awaitable<> { co_return; };
        bench.hypervisor.cut_connection();
        const Exit exit = co_await c1->wait("");
        EXPECT_EQ(exit.status, 137U);
        EXPECT_EQ(bench.hypervisor.machines, 0);
        const Status create = co_await status_of(bench.sandbox.create(container("c2")));
        EXPECT_NE(create.message.find("keeps breaking its connection"), std::string::npos)
            << create.message;
    });
}

TEST_F(ConnectionLossTest, ResumesStdioWhereItWas) {
    with_sandbox(quick_spec(), [this](Bench& bench) -> Awaitable<> {
        auto executor = co_await asio::this_coro::executor;
        TaskSpec spec = container("c1");
        spec.stdio.stdout_uri = fifo("stdout");
        spec.stdio.stdin_uri = fifo("stdin");
        const UniqueFd out = open_file(path("stdout"), O_RDONLY | O_NONBLOCK);
        const UniqueFd in = open_file(path("stdin"), O_RDWR | O_NONBLOCK);
        std::vector<wire::Preamble> resumed;
        bench.hypervisor.on_resume = [&resumed](const wire::Preamble& preamble) {
            resumed.push_back(preamble);
            return wire::PreambleAnswer{true, 2}; // of the input, two bytes have come
        };
        const auto c1 = co_await start(bench, spec);
        const auto stdio = bench.hypervisor.agent.stdio("c1", "");
        auto& streams = bench.hypervisor.streams;
        const auto take = [&streams](std::uint64_t id) {
            StreamSocket socket = std::move(streams.at(id));
            streams.erase(id);
            return socket;
        };
        const auto send = [](StreamSocket& socket, std::string bytes) -> Awaitable<> {
            co_await asio::async_write(socket, asio::buffer(bytes), asio::use_awaitable);
        };
        const auto receive = [](StreamSocket& socket, std::size_t size) -> Awaitable<std::string> {
            std::string bytes(size, '\0');
            co_await asio::async_read(socket, asio::buffer(bytes), asio::use_awaitable);
            co_return bytes;
        };
        const auto output = [&](std::string expected) -> Awaitable<> {
            std::string seen;
            co_await until([&] {
                std::array<char, 64> buffer{};
                const ssize_t size = ::read(out.get(), buffer.data(), buffer.size());
                seen.append(buffer.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
                return seen.size() >= expected.size();
            });
            EXPECT_EQ(seen, expected);
        };

        EXPECT_EQ(::write(in.get(), "input", 5), 5);
        {
            StreamSocket stdout_stream = take(stdio.stdout_stream());
            StreamSocket stdin_stream = take(stdio.stdin_stream());
            co_await send(stdout_stream, frame("before "));
            co_await output("before ");
            // A frame of which the host gets a part.
            co_await send(stdout_stream, frame("lost").substr(0, 6));
            const std::string got = co_await receive(stdin_stream, 9);
            EXPECT_EQ(got, frame("input"));
        } // both break
        co_await until([&] { return streams.size() == 2; });
        co_await output("lo");
        StreamSocket stdout_stream = take(stdio.stdout_stream());
        StreamSocket stdin_stream = take(stdio.stdin_stream());
        std::ranges::sort(resumed, {}, &wire::Preamble::stream);
        EXPECT_EQ(resumed.size(), 2U);
        for (const auto& preamble : resumed) {
            const bool is_output = preamble.stream == stdio.stdout_stream();
            EXPECT_EQ(preamble.received, is_output ? 9U : 0U);
        }
        const std::string again = co_await receive(stdin_stream, 7);
        EXPECT_EQ(again, frame("put"));
        co_await send(stdout_stream, frame("st after") + frame(""));
        co_await output("st after");
        const std::string confirmation = co_await receive(stdout_stream, 8);
        const auto end = wire::encode_confirmation(9 + 8 + 1);
        EXPECT_EQ(confirmation, std::string(end.begin(), end.end()));
    });
}

} // namespace
} // namespace cppvm::sandbox
