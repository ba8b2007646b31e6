#pragma once

#include "common/async/task_group.hpp"
#include "common/ttrpc/client.hpp"
#include "proto/cppvm/agent.ttrpc.hpp"
#include "tests/integration/guest/agent_process.hpp"

#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <vector>

namespace cppvm::testing {

using Json = nlohmann::json;

/// What a finished process left.
struct RunResult {
    unsigned status = 0;
    std::string output;
    std::string errors;
    std::vector<std::string> unsupported;
};

/// An exec that was started. Must not outlive the HostSide.
class RunningExec {
  public:
    RunningExec(
        ttrpc::ReplyReader<agent::v1::ExecEvent> events, agent::v1::ExecEvent::Started started
    )
        : events_(std::move(events)), started_(std::move(started)) {}

    const agent::v1::ExecEvent::Started& started() const noexcept { return started_; }
    /// Until it has exited; once.
    Awaitable<unsigned> wait();
    /// After `wait`: until the agent has forgotten it.
    Awaitable<> wait_forgotten();

  private:
    ttrpc::ReplyReader<agent::v1::ExecEvent> events_;
    agent::v1::ExecEvent::Started started_;
};

/// The shim's part towards an agent: RPC calls and stdio streams, as the real one makes them.
/// `stop` must be awaited before destruction.
class HostSide {
  public:
    static Awaitable<std::unique_ptr<HostSide>> connect(AgentProcess& agent);
    HostSide(const asio::any_io_executor& executor, AgentProcess& agent, StreamSocket socket);

    agent::v1::AgentClient& rpc() noexcept { return rpc_; }
    /// A connection with its preamble sent and answered. Throws: Error when it was refused.
    static Awaitable<StreamSocket>
    dial(const AgentProcess& agent, std::uint8_t kind, std::uint64_t token);
    /// A stdio stream under a new token.
    Awaitable<std::pair<std::uint64_t, StreamSocket>> open_stream();

    /// Create, start, feed, read everything, wait, delete. The rootfs of the id must be there.
    Awaitable<RunResult> run(std::string id, Json spec, std::string input = "");
    /// The same for an exec.
    Awaitable<RunResult>
    run_exec(std::string id, std::string exec_id, Json process, std::string input = "");

    Awaitable<agent::v1::CreateContainerResponse>
    create(std::string id, Json spec, agent::v1::Stdio stdio = {});
    Awaitable<> start(std::string id);
    Awaitable<RunningExec> start_exec(const agent::v1::RunExecRequest& request);
    Awaitable<unsigned> wait(std::string id, std::string exec_id = "");
    Awaitable<> signal(std::string id, unsigned signal, bool all = false, std::string exec_id = "");
    Awaitable<> remove(std::string id, std::string exec_id = "");

    Awaitable<> stop();

  private:
    AgentProcess& agent_;
    ttrpc::Client client_;
    agent::v1::AgentClient rpc_;
    std::uint64_t last_token_ = 0;
    TaskGroup tasks_;
};

/// Everything up to the end frame; closes the connection. A connection that ends without one fails.
Awaitable<std::string> read_stream(StreamSocket& stream);
/// The payload of one frame; empty at the end.
Awaitable<std::string> read_frame(StreamSocket& stream);
Awaitable<> write_stream(StreamSocket& stream, std::string data);
/// The end frame; waits until the agent has closed the connection.
Awaitable<> end_stream(StreamSocket& stream);

/// A spec as containerd makes them, without the parts that a test does not care for.
Json make_spec(const AgentProcess& agent, const std::string& id, std::vector<std::string> args);
/// `sh -c script`.
Json make_script_spec(const AgentProcess& agent, const std::string& id, const std::string& script);
Json make_process(std::vector<std::string> args);

/// Runs `call` and gives the status that it failed with.
template <class T>
Awaitable<Status> failure_of(Awaitable<T> call) {
    Status status;
    try {
        co_await std::move(call);
    } catch (...) {
        status = to_status(std::current_exception());
    }
    co_return status;
}

} // namespace cppvm::testing
