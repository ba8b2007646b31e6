#pragma once

#include "common/async/event.hpp"
#include "common/async/task_group.hpp"
#include "common/ttrpc/client.hpp"
#include "common/wire/preamble.hpp"
#include "common/wire/stream_frame.hpp"
#include "proto/cppvm/agent.ttrpc.hpp"
#include "tests/integration/guest/agent_process.hpp"

#include <nlohmann/json.hpp>

#include <map>
#include <memory>
#include <optional>
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

class HostSide;

/// An exec that was started. Must not outlive the HostSide.
class RunningExec {
  public:
    RunningExec(
        HostSide& host, const agent::v2::ExecRequest& request, agent::v2::ExecResponse started
    )
        : host_(host), container_id_(request.container_id()), exec_id_(request.exec_id()),
          started_(std::move(started)) {}

    const agent::v2::ExecResponse& started() const noexcept { return started_; }
    /// Until it has exited.
    Awaitable<unsigned> wait();
    /// After `wait`: until the agent has forgotten it.
    Awaitable<> wait_forgotten();

  private:
    HostSide& host_;
    std::string container_id_;
    std::string exec_id_;
    agent::v2::ExecResponse started_;
};

/// The shim's part towards an agent: RPC calls and stdio streams, as the real one makes them.
/// `stop` must be awaited before destruction.
class HostSide {
  public:
    static Awaitable<std::unique_ptr<HostSide>> connect(AgentProcess& agent);
    HostSide(const asio::any_io_executor& executor, AgentProcess& agent, StreamSocket socket);

    agent::v2::AgentClient& rpc() noexcept { return rpc_; }
    /// A connection with its preamble sent and answered. Throws: Error when it was refused.
    static Awaitable<StreamSocket> dial(const AgentProcess& agent, wire::Preamble preamble);
    /// A stdio stream under a new id.
    Awaitable<std::pair<std::uint64_t, StreamSocket>> open_stream();

    /// Create, start, feed, read everything, wait, delete. The rootfs of the id must be there.
    /// `request`: what CreateContainer has beside that.
    Awaitable<RunResult>
    run(std::string id,
        Json spec,
        std::string input = "",
        agent::v2::CreateContainerRequest request = {});
    /// The same for an exec.
    Awaitable<RunResult>
    run_exec(std::string id, std::string exec_id, Json process, std::string input = "");

    Awaitable<agent::v2::CreateContainerResponse> create(
        std::string id,
        Json spec,
        agent::v2::Stdio stdio = {},
        agent::v2::CreateContainerRequest request = {}
    );
    /// What `create` tells hooks.
    static constexpr const char* bundle = "/bundle/of/the/host";
    Awaitable<> start(std::string id);
    Awaitable<RunningExec> start_exec(agent::v2::ExecRequest request);
    /// Until the agent has told of its exit; on this connection or on another, which has no events
    /// from then on.
    Awaitable<unsigned> wait(std::string id, std::string exec_id = "");
    Awaitable<> signal(std::string id, unsigned signal, bool all = false, std::string exec_id = "");
    Awaitable<> remove(std::string id, std::string exec_id = "");

    Awaitable<> stop();

  private:
    AgentProcess& agent_;
    ttrpc::Client client_;
    agent::v2::AgentClient rpc_;
    Awaitable<> hear_next();

    std::uint64_t last_stream_ = 0;
    std::optional<ttrpc::ReplyReader<agent::v2::Event>> events_;
    std::uint64_t events_seen_ = 0;
    bool hearing_ = false; ///< a `wait` reads for all of them
    Event heard_;
    std::map<std::uint64_t, unsigned> exits_; ///< by number
    TaskGroup tasks_;
};

/// Everything up to the end frame, which it confirms as it goes; `received`: bytes that were read
/// before, by `read_frame`. Then refuses more and closes the connection. A connection that
/// ends without an end frame fails.
Awaitable<std::string> read_stream(StreamSocket& stream, std::uint64_t received = 0);
/// The payload of one frame; empty at the end.
Awaitable<std::string> read_frame(StreamSocket& stream);
Awaitable<> write_stream(StreamSocket& stream, std::string data);
/// The end frame, after `written` bytes; waits until the agent has confirmed it.
Awaitable<> end_stream(StreamSocket& stream, std::uint64_t written);
/// The agent's next word on an input stream.
Awaitable<std::uint64_t> read_confirmation(StreamSocket& stream);

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
