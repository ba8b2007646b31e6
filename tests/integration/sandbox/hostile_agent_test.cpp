// A table of what an agent can do to a call, times the calls. Whatever it does: Kill, Delete and
// stop come to their end, each process exits exactly once, and the daemon's memory and log stay
// small.

#include "common/async/all_of.hpp"
#include "common/async/timeout.hpp"
#include "tests/integration/sandbox/sandbox_fixture.hpp"
#include "tests/support/hostile_agent.hpp"
#include "tests/support/log_capture.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <ostream>
#include <random>

namespace cppvm::sandbox {
namespace {

using testing::HostileAgent;
using Call = HostileAgent::Call;
using namespace std::chrono_literals;

constexpr std::array<const char*, 15> calls = {
    "Configure",
    "SetClock",
    "ConfigurePod",
    "Events",
    "CreateContainer",
    "StartContainer",
    "Replay",
    "Exec",
    "SignalProcess",
    "Freeze",
    "UpdateContainer",
    "Stats",
    "ResizeConsole",
    "ListProcesses",
    "DeleteProcess",
};

struct Behaviour {
    std::string name;
    HostileAgent::Behaviour act;

    friend std::ostream& operator<<(std::ostream& out, const Behaviour& behaviour) {
        return out << behaviour.name;
    }
};

/// What the limits of Timeouts are here. Their sum is far below `step_limit`.
Timeouts short_timeouts() {
    Timeouts timeouts;
    for (auto* const limit : {&timeouts.create, &timeouts.start}) {
        *limit = 1500ms;
    }
    timeouts.kill = 600ms;
    for (auto* const limit :
         {&timeouts.signal,
          &timeouts.list,
          &timeouts.freeze,
          &timeouts.update,
          &timeouts.delete_in_guest,
          &timeouts.start_answer,
          &timeouts.exec_exit,
          &timeouts.delivery,
          &timeouts.stream_grace,
          &timeouts.link.reconnect,
          &timeouts.link.resume}) {
        *limit = 400ms; // all rows share a loop, whatever floods it
    }
    timeouts.link.pause = 5ms;
    return timeouts;
}

/// A step that takes this long hangs.
constexpr auto step_limit = 15s;
constexpr auto longer_than_any_limit = 2000ms;
constexpr std::size_t max_log_lines = 40;
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr long max_growth_kib = 512L * 1024; // shadow memory, and what was freed is kept
#else
constexpr long max_growth_kib = 88L * 1024;
#endif

std::string frames_for(std::uint32_t stream, std::size_t count) {
    std::string flood;
    for (std::size_t i = 0; i < count; ++i) {
        flood.append(ttrpc::encode_frame(stream, ttrpc::FrameType::response, 0, {}));
    }
    return flood;
}

agent::v2::ListProcessesResponse many_processes(int count) {
    agent::v2::ListProcessesResponse response;
    for (int i = 0; i < count; ++i) {
        response.add_processes()->set_pid(i);
    }
    return response;
}

agent::v2::StatsResponse many_numbers(int count) {
    agent::v2::StatsResponse response;
    for (int i = 0; i < count; ++i) {
        (*response.mutable_values())[std::to_string(i)] = ~std::uint64_t{0};
        response.add_interfaces()->set_name("eth0");
    }
    return response;
}

agent::v2::ListProcessesResponse impossible_processes() {
    agent::v2::ListProcessesResponse response;
    for (const int pid : {7, 7, 0, -1, -2147483647, 7, 1}) {
        response.add_processes()->set_pid(pid);
    }
    for (int i = 0; i < 3; ++i) {
        auto* const entry = response.add_processes();
        entry->set_pid(8);
        entry->set_exec_id(i == 2 ? "unknown" : "e1");
    }
    return response;
}

/// What a fuzzer would have an agent answer: messages of the right kinds with whatever content,
/// other kinds, no messages, in any order.
class Fuzzer {
  public:
    explicit Fuzzer(unsigned seed) : random_(seed) {}

    Awaitable<> answer(HostileAgent& agent, const Call& call) {
        for (unsigned left = pick(4) + 1; left != 0; --left) {
            switch (pick(6)) {
            case 0:
                co_await agent.answer_honestly(call);
                break;
            case 1:
                co_await agent.send_status(call.stream, number(), bytes());
                break;
            case 2:
                co_await agent.send_reply(call.stream, processes());
                break;
            case 3:
                co_await agent.send(frame(call.stream, event().SerializeAsString()));
                break;
            case 4:
                co_await agent.send_reply(call.stream, started());
                break;
            default:
                co_await agent.send(frame(call.stream, bytes()));
            }
        }
    }

  private:
    unsigned pick(unsigned count) { return static_cast<unsigned>(random_() % count); }
    int number() {
        constexpr std::array edges = {-2147483647 - 1, -1, 0, 1, 2, 128, 137, 2147483647};
        return pick(2) == 0 ? edges.at(pick(edges.size())) : static_cast<int>(random_());
    }
    std::string bytes() {
        std::string result(pick(64), '\0');
        std::ranges::generate(result, [this] { return static_cast<char>(random_()); });
        return result;
    }
    std::string frame(std::uint32_t stream, const std::string& payload) {
        constexpr std::array types = {ttrpc::FrameType::response, ttrpc::FrameType::data};
        return ttrpc::encode_frame(
            stream, types.at(pick(types.size())), static_cast<std::uint8_t>(pick(8)), payload
        );
    }
    agent::v2::ListProcessesResponse processes() {
        agent::v2::ListProcessesResponse response;
        for (unsigned left = pick(20); left != 0; --left) {
            auto* const entry = response.add_processes();
            entry->set_pid(number());
            entry->set_exec_id(std::array{"", "e1", "c1", "e2"}.at(pick(4)));
            entry->set_is_init(pick(2) == 0);
        }
        return response;
    }
    agent::v2::Event event() {
        agent::v2::Event event;
        event.set_sequence(pick(4));
        switch (pick(3)) {
        case 0:
            event.mutable_clock_wanted();
            break;
        case 1:
            event.mutable_out_of_memory()->set_container_id(std::array{"c1", "", "x"}.at(pick(3)));
            break;
        default:
            event.mutable_exited()->set_process_number(pick(4));
            event.mutable_exited()->set_exit_status(static_cast<std::uint32_t>(number()));
        }
        return event;
    }
    agent::v2::ExecResponse started() {
        agent::v2::ExecResponse response;
        response.set_pid(number());
        response.add_unsupported(std::to_string(number()));
        return response;
    }

    std::mt19937 random_;
};

std::vector<Behaviour> behaviours() {
    std::vector<Behaviour> all;
    for (const int code : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 99}) {
        all.push_back(
            {"code_" + std::to_string(code),
             [code](HostileAgent& agent, const Call& call) -> Awaitable<> {
                 return agent.send_status(call.stream, code, "a guest's words\x1b[2J\n\xff");
             }}
        );
    }
    const auto add = [&all](std::string name, auto act) { all.push_back({std::move(name), act}); };
    add("never_answers", [](HostileAgent&, const Call&) -> Awaitable<> { co_return; });
    add("ok_without_effect",
        [](HostileAgent& agent, const Call& call) -> Awaitable<> { return agent.send_ok(call); });
    add("answers_late", [](HostileAgent& agent, const Call& call) -> Awaitable<> {
        co_await agent.pause(longer_than_any_limit);
        co_await agent.answer_honestly(call);
    });
    add("answers_twice", [](HostileAgent& agent, const Call& call) -> Awaitable<> {
        co_await agent.answer_honestly(call);
        co_await agent.answer_honestly(call);
    });
    add("reply_of_another_kind", [](HostileAgent& agent, const Call& call) -> Awaitable<> {
        return agent.send_reply(call.stream, many_processes(3));
    });
    add("malformed_reply", [](HostileAgent& agent, const Call& call) -> Awaitable<> {
        return agent.send(
            ttrpc::encode_frame(call.stream, ttrpc::FrameType::response, 0, "\xff\xff\xff")
        );
    });
    add("malformed_message", [](HostileAgent& agent, const Call& call) -> Awaitable<> {
        return agent.send(
            ttrpc::encode_frame(call.stream, ttrpc::FrameType::response, 0, "\x12\x03\xff\xff\xff")
        );
    });
    add("stream_data", [](HostileAgent& agent, const Call& call) -> Awaitable<> {
        return agent.send(ttrpc::encode_frame(call.stream, ttrpc::FrameType::data, 0, "x"));
    });
    add("end_of_stream", [](HostileAgent& agent, const Call& call) -> Awaitable<> {
        return agent.send(ttrpc::encode_frame(
            call.stream, ttrpc::FrameType::data, ttrpc::flag_remote_closed | ttrpc::flag_no_data, {}
        ));
    });
    add("stream_flood", [](HostileAgent& agent, const Call& call) -> Awaitable<> {
        std::string flood;
        for (int i = 0; i < 20'000; ++i) {
            flood.append(
                ttrpc::encode_frame(call.stream, ttrpc::FrameType::data, 0, std::string(100, '\0'))
            );
        }
        return agent.send(std::move(flood));
    });
    add("too_many_processes", [](HostileAgent& agent, const Call& call) -> Awaitable<> {
        return agent.send_reply(call.stream, many_processes(100'000));
    });
    // Made here: all rows share a loop, whose limits are short.
    add("too_many_numbers",
        [numbers = std::make_shared<agent::v2::StatsResponse>(many_numbers(10'000))](
            HostileAgent& agent, const Call& call
        ) -> Awaitable<> { return agent.send_reply(call.stream, *numbers); });
    add("impossible_processes", [](HostileAgent& agent, const Call& call) -> Awaitable<> {
        return agent.send_reply(call.stream, impossible_processes());
    });
    add("oversized_reply", [](HostileAgent& agent, const Call& call) -> Awaitable<> {
        const std::uint32_t length = ttrpc::max_payload_bytes + 1;
        const auto header = ttrpc::encode_header(
            {.length = length, .stream = call.stream, .type = ttrpc::FrameType::response}
        );
        return agent.send(std::string(header.data(), header.size()) + std::string(length, 'x'));
    });
    add("long_error", [](HostileAgent& agent, const Call& call) -> Awaitable<> {
        return agent.send_status(call.stream, 13, std::string(1'000'000, '\n'));
    });
    add("events_of_every_kind", [](HostileAgent& agent, const Call& call) -> Awaitable<> {
        std::string flood;
        for (int i = 0; i < 20'000; ++i) {
            agent::v2::Event event;
            event.set_sequence(i % 3 == 0 ? 0 : static_cast<std::uint64_t>(i) << (i % 40));
            if (i % 4 == 0) {
                event.mutable_clock_wanted();
            } else if (i % 4 == 2) {
                event.mutable_out_of_memory()->set_container_id("c1");
            } else {
                event.mutable_exited()->set_process_number(static_cast<std::uint64_t>(i));
            }
            flood.append(ttrpc::encode_frame(
                call.stream, ttrpc::FrameType::data, 0, event.SerializeAsString()
            ));
        }
        return agent.send(std::move(flood));
    });
    add("flood_for_this_call", [](HostileAgent& agent, const Call& call) -> Awaitable<> {
        return agent.send(frames_for(call.stream, 100'000));
    });
    add("flood_for_no_call", [](HostileAgent& agent, const Call&) -> Awaitable<> {
        return agent.send(frames_for(0x7fffffff, 100'000));
    });
    add("flood_of_requests", [](HostileAgent& agent, const Call&) -> Awaitable<> {
        std::string flood;
        for (int i = 0; i < 100'000; ++i) {
            flood.append(ttrpc::encode_frame(1, ttrpc::FrameType::request, 0, {}));
        }
        return agent.send(std::move(flood));
    });
    add("half_a_frame", [](HostileAgent& agent, const Call&) -> Awaitable<> {
        return agent.send(std::string("\0\0\x10\0\0\0", 6));
    });
    add("closes", [](HostileAgent& agent, const Call&) -> Awaitable<> {
        agent.cut();
        co_return;
    });
    add("answers_and_closes", [](HostileAgent& agent, const Call& call) -> Awaitable<> {
        co_await agent.answer_honestly(call);
        co_await agent.pause(5ms);
        agent.cut();
    });
    add("everything_exits_first", [](HostileAgent& agent, const Call& call) -> Awaitable<> {
        co_await agent.exit_all(3);
        co_await agent.answer_honestly(call);
    });
    add("everything_exits_twice", [](HostileAgent& agent, const Call& call) -> Awaitable<> {
        co_await agent.answer_honestly(call);
        co_await agent.exit_all(3);
        co_await agent.exit_all(4'000'000'000U);
    });
    for (unsigned seed = 1; seed <= 8; ++seed) {
        add("random_" + std::to_string(seed),
            [fuzzer = std::make_shared<Fuzzer>(seed)](HostileAgent& agent, const Call& call)
                -> Awaitable<> { return fuzzer->answer(agent, call); });
    }
    return all;
}

/// One behaviour towards one call, against a sandbox of its own.
struct Row {
    Row(const asio::any_io_executor& executor,
        const Behaviour& behaviour,
        const char* method,
        SandboxSpec spec)
        : name(behaviour.name + " x " + method), agent(executor, method, behaviour.act),
          hypervisor(executor),
          sandbox(executor, log.logger(), std::move(spec), hypervisor, events) {
        hypervisor.serve_rpc = [this](StreamSocket socket) {
            return agent.serve(std::move(socket));
        };
        hypervisor.on_end = [this] { agent.cut(); };
    }

    std::string name;
    testing::LogCapture log;
    HostileAgent agent;
    testing::FakeHypervisor hypervisor;
    EventLog events;
    Sandbox sandbox;
};

/// Awaits a step of a row; one that does not end in time is the fault that this test looks for.
template <class T>
Awaitable<Status> step(const Row& row, std::string what, Awaitable<T> operation) {
    const Status status = co_await status_of(
        with_timeout(std::move(operation), deadline_in(step_limit), "hang: " + what)
    );
    EXPECT_FALSE(status.message.starts_with("hang: ")) << row.name << ": " << status.message;
    co_return status;
}

void expect_ends(const Row& row, const std::string& what, const Status& status) {
    EXPECT_TRUE(status.code == Code::ok || status.code == Code::not_found)
        << row.name << ": " << what << ": " << status.message;
}

void expect_one_line(const Row& row, const Status& status) {
    EXPECT_EQ(status.message.find_first_of("\n\x1b"), std::string::npos) << row.name;
    EXPECT_LE(status.message.size(), 8192U) << row.name;
}

Awaitable<> run_exec(Row& row, Task& c1) {
    const std::string exec = R"({"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}})";
    bool added = true;
    try {
        c1.add_exec("e1", {}, exec);
    } catch (const Error&) {
        added = false; // the init has ended by the guest's word
    }
    if (!added) {
        co_return;
    }
    const Status started = co_await step(row, "start exec", c1.start("e1"));
    expect_one_line(row, started);
    co_await step(row, "pids", c1.processes());
    if (started.code == Code::ok) {
        const Status killed = co_await step(row, "kill exec", c1.kill("e1", SIGKILL, false));
        expect_ends(row, "kill exec", killed);
    }
    const Status waited = co_await step(row, "wait for exec", c1.wait("e1"));
    EXPECT_EQ(waited.code, Code::ok) << row.name << ": " << waited.message;
    const Status removed = co_await step(row, "delete exec", row.sandbox.remove("c1", "e1"));
    EXPECT_EQ(removed.code, Code::ok) << row.name << ": " << removed.message;
}

Awaitable<> run_container(Row& row) {
    const auto c1 = row.sandbox.task("c1");
    const Status started = co_await step(row, "start", c1->start(""));
    expect_one_line(row, started);
    const Status resized = co_await step(row, "resize", c1->resize_console("", 80, 24));
    expect_one_line(row, resized);
    co_await step(row, "pids", c1->processes());
    if (started.code == Code::ok) {
        co_await run_exec(row, *c1);
    }
    expect_one_line(row, co_await step(row, "pause", c1->pause()));
    expect_one_line(row, co_await step(row, "resume", c1->resume()));
    expect_one_line(row, co_await step(row, "update", c1->update(R"({"pids":{"limit":9}})")));
    expect_one_line(row, co_await step(row, "statistics", c1->stats()));
    const Status terminated = co_await step(row, "terminate", c1->kill("", SIGTERM, false));
    expect_one_line(row, terminated);
    const Status killed = co_await step(row, "kill", c1->kill("", SIGKILL, true));
    expect_ends(row, "kill", killed);
    const Status waited = co_await step(row, "wait", c1->wait(""));
    EXPECT_EQ(waited.code, Code::ok) << row.name << ": " << waited.message;
    const Status removed = co_await step(row, "delete", row.sandbox.remove("c1", ""));
    EXPECT_EQ(removed.code, Code::ok) << row.name << ": " << removed.message;
}

void expect_invariants(const Row& row, bool created) {
    const auto count = [&row](const std::string& start) {
        return std::ranges::count_if(row.events.lines, [&start](const std::string& line) {
            return line.starts_with(start);
        });
    };
    EXPECT_EQ(count("exit c1 "), created ? 1 : 0) << row.name;
    EXPECT_EQ(count("exit e1 "), count("exec-started e1")) << row.name;
    EXPECT_EQ(count("delete c1"), created ? 1 : 0) << row.name;
    EXPECT_LE(std::ranges::count(row.log.text(), '\n'), static_cast<long>(max_log_lines))
        << row.name << ":\n"
        << row.log.text();
    EXPECT_EQ(row.hypervisor.machines, 0) << row.name;
    EXPECT_TRUE(row.sandbox.empty()) << row.name;
}

Awaitable<> run_row(Row& row, TaskSpec c1) {
    row.sandbox.boot();
    const Status created = co_await step(row, "create", row.sandbox.create(std::move(c1)));
    expect_one_line(row, created);
    EXPECT_NE(created.code, Code::not_found) << row.name << ": taken for already gone";
    EXPECT_NE(created.code, Code::already_exists) << row.name;
    if (created.code == Code::ok) {
        co_await run_container(row);
    }
    const Status stopped = co_await step(row, "stop", row.sandbox.stop());
    EXPECT_EQ(stopped.code, Code::ok) << row.name;
    co_await row.agent.stop();
    co_await row.hypervisor.stop();
    expect_invariants(row, created.code == Code::ok);
}

long peak_kib() {
    const std::string status = read_file("/proc/self/status", 65536);
    return std::stol(status.substr(status.find("VmHWM:") + 6));
}

class HostileAgentTest : public SandboxTest, public ::testing::WithParamInterface<Behaviour> {
  public:
    /// A bundle and a run directory for one row.
    std::pair<SandboxSpec, TaskSpec> specs(const std::string& method) const {
        const auto directory = path(method);
        std::filesystem::create_directories(directory / "run");
        std::filesystem::copy(path("bundle"), directory / "bundle");
        SandboxSpec sandbox = sandbox_spec();
        sandbox.run_dir = directory / "run";
        sandbox.timeouts = short_timeouts();
        sandbox.pod.awaits_create = method == "ConfigurePod";
        TaskSpec spec = container("c1");
        spec.bundle = directory / "bundle";
        spec.stdio.terminal = true;
        return {sandbox, spec};
    }
};

TEST_P(HostileAgentTest, CannotHoldUpTheHost) {
    const long before = peak_kib();
    testing::co_test(
        [](HostileAgentTest& test) -> Awaitable<> {
            const auto executor = co_await asio::this_coro::executor;
            std::vector<std::unique_ptr<Row>> rows;
            std::vector<Awaitable<>> runs;
            for (const char* const method : calls) {
                auto [sandbox, spec] = test.specs(method);
                rows.push_back(
                    std::make_unique<Row>(executor, GetParam(), method, std::move(sandbox))
                );
                runs.push_back(run_row(*rows.back(), std::move(spec)));
            }
            co_await all_of(std::move(runs));
            std::string never_made;
            for (const auto& row : rows) {
                never_made += row->agent.attacks == 0 ? row->name + "; " : "";
            }
            EXPECT_EQ(never_made, "");
        }(*this),
        120s
    );
    EXPECT_LE(peak_kib() - before, max_growth_kib);
}

INSTANTIATE_TEST_SUITE_P(
    Every,
    HostileAgentTest,
    ::testing::ValuesIn(behaviours()),
    [](const auto& row) { return row.param.name; }
);

} // namespace
} // namespace cppvm::sandbox
