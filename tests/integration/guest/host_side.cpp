#include "tests/integration/guest/host_side.hpp"

#include "common/async/timeout.hpp"
#include "common/wire/preamble.hpp"
#include "common/wire/stream_frame.hpp"

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <unistd.h>

namespace cppvm::testing {

Awaitable<StreamSocket>
HostSide::dial(const AgentProcess& agent, std::uint8_t kind, std::uint64_t token) {
    auto executor = co_await asio::this_coro::executor;
    StreamSocket socket(executor);
    const StreamSocket::endpoint_type address =
        asio::local::stream_protocol::endpoint(agent.socket_path());
    co_await socket.async_connect(address, asio::use_awaitable);
    const auto head = wire::encode({static_cast<wire::ConnectionKind>(kind), token});
    co_await asio::async_write(socket, asio::buffer(head), asio::use_awaitable);
    std::uint8_t answer = 0;
    co_await asio::async_read(socket, asio::buffer(&answer, 1), asio::use_awaitable);
    if (answer != wire::accepted) {
        throw Error(Code::failed_precondition, "the agent refused the connection");
    }
    co_return socket;
}

Awaitable<std::unique_ptr<HostSide>> HostSide::connect(AgentProcess& agent) {
    auto executor = co_await asio::this_coro::executor;
    StreamSocket socket = co_await dial(agent, 1, 0);
    co_return std::make_unique<HostSide>(executor, agent, std::move(socket));
}

HostSide::HostSide(const asio::any_io_executor& executor, AgentProcess& agent, StreamSocket socket)
    : agent_(agent), client_(std::move(socket), Logger()), rpc_(client_),
      tasks_(executor, Logger()) {
    tasks_.spawn("client", client_.run());
}

Awaitable<std::pair<std::uint64_t, StreamSocket>> HostSide::open_stream() {
    const std::uint64_t token = ++last_token_;
    StreamSocket socket = co_await dial(agent_, 2, token);
    co_return std::pair(token, std::move(socket));
}

Awaitable<agent::v1::CreateContainerResponse>
HostSide::create(std::string id, Json spec, agent::v1::Stdio stdio) {
    agent::v1::CreateContainerRequest request;
    request.set_container_id(id);
    request.set_spec(spec.dump());
    *request.mutable_stdio() = stdio;
    co_return co_await rpc_.create_container(request);
}

Awaitable<> HostSide::start(std::string id) {
    agent::v1::StartContainerRequest request;
    request.set_container_id(id);
    co_await rpc_.start_container(request);
}

Awaitable<RunningExec> HostSide::start_exec(const agent::v1::RunExecRequest& request) {
    auto events = co_await rpc_.run_exec(request);
    auto event = co_await events.receive();
    if (!event || !event->has_started()) {
        throw Error(Code::internal, "the exec was not started");
    }
    co_return RunningExec(std::move(events), event->started());
}

Awaitable<unsigned> RunningExec::wait() {
    const auto event = co_await events_.receive();
    if (!event || !event->has_exited()) {
        throw Error(Code::internal, "the exec did not exit");
    }
    co_return event->exited().exit_status();
}

Awaitable<> RunningExec::wait_forgotten() {
    if (co_await events_.receive()) {
        throw Error(Code::internal, "something came after the exec's exit");
    }
}

Awaitable<unsigned> HostSide::wait(std::string id, std::string exec_id) {
    agent::v1::ProcessRef reference;
    reference.set_container_id(id);
    reference.set_exec_id(exec_id);
    const auto response = co_await rpc_.wait_process(reference);
    co_return response.exit_status();
}

Awaitable<> HostSide::signal(std::string id, unsigned signal, bool all, std::string exec_id) {
    agent::v1::SignalProcessRequest request;
    request.mutable_process()->set_container_id(id);
    request.mutable_process()->set_exec_id(exec_id);
    request.set_signal(signal);
    request.set_all(all);
    co_await rpc_.signal_process(request);
}

Awaitable<> HostSide::remove(std::string id, std::string exec_id) {
    agent::v1::ProcessRef reference;
    reference.set_container_id(id);
    reference.set_exec_id(exec_id);
    co_await rpc_.delete_process(reference);
}

namespace {

struct Streams {
    StreamSocket input;
    StreamSocket output;
    StreamSocket errors;
};

Awaitable<> feed(StreamSocket& stream, std::string input) {
    // The process may close its end before it has read all.
    try {
        co_await write_stream(stream, std::move(input));
        co_await end_stream(stream);
    } catch (const std::exception&) {
        stream.close();
    }
}

Awaitable<> collect(StreamSocket& stream, std::string& to) {
    to = co_await read_stream(stream);
}

/// Feeds and reads beside each other.
Awaitable<> exchange(Streams& streams, std::string input, RunResult& result) {
    auto executor = co_await asio::this_coro::executor;
    // What goes wrong shows in the result; this says why.
    TaskGroup tasks(executor, Logger(make_fd_sink(STDERR_FILENO), LogLevel::info));
    tasks.spawn("stdin", feed(streams.input, std::move(input)));
    tasks.spawn("stdout", collect(streams.output, result.output));
    tasks.spawn("stderr", collect(streams.errors, result.errors));
    co_await tasks.join();
}

} // namespace

Awaitable<RunResult> HostSide::run(std::string id, Json spec, std::string input) {
    auto [input_token, input_stream] = co_await open_stream();
    auto [output_token, output_stream] = co_await open_stream();
    auto [errors_token, errors_stream] = co_await open_stream();
    agent::v1::Stdio stdio;
    stdio.set_stdin_token(input_token);
    stdio.set_stdout_token(output_token);
    stdio.set_stderr_token(errors_token);
    Streams streams{std::move(input_stream), std::move(output_stream), std::move(errors_stream)};
    RunResult result;
    const auto created = co_await create(id, std::move(spec), stdio);
    result.unsupported.assign(created.unsupported().begin(), created.unsupported().end());
    std::exception_ptr failure;
    try {
        co_await start(id);
        co_await exchange(streams, std::move(input), result);
    } catch (...) {
        failure = std::current_exception();
    }
    result.status = co_await wait(id);
    co_await remove(id);
    if (failure) {
        std::rethrow_exception(failure);
    }
    co_return result;
}

Awaitable<RunResult>
HostSide::run_exec(std::string id, std::string exec_id, Json process, std::string input) {
    auto [input_token, input_stream] = co_await open_stream();
    auto [output_token, output_stream] = co_await open_stream();
    auto [errors_token, errors_stream] = co_await open_stream();
    Streams streams{std::move(input_stream), std::move(output_stream), std::move(errors_stream)};
    agent::v1::RunExecRequest request;
    request.set_container_id(id);
    request.set_exec_id(exec_id);
    request.set_process(process.dump());
    request.mutable_stdio()->set_stdin_token(input_token);
    request.mutable_stdio()->set_stdout_token(output_token);
    request.mutable_stdio()->set_stderr_token(errors_token);
    RunResult result;
    RunningExec exec = co_await start_exec(request);
    const auto& unsupported = exec.started().unsupported();
    result.unsupported.assign(unsupported.begin(), unsupported.end());
    co_await exchange(streams, std::move(input), result);
    result.status = co_await exec.wait();
    co_await exec.wait_forgotten();
    co_return result;
}

Awaitable<> HostSide::stop() {
    co_await client_.stop();
    co_await tasks_.join();
}

Awaitable<std::string> read_frame(StreamSocket& stream) {
    std::array<std::uint8_t, wire::frame_header_size> header{};
    co_await asio::async_read(stream, asio::buffer(header), asio::use_awaitable);
    const auto size =
        wire::decode_frame_header(std::span<const std::uint8_t, wire::frame_header_size>(header));
    std::string payload(size.value(), '\0');
    co_await asio::async_read(stream, asio::buffer(payload), asio::use_awaitable);
    co_return payload;
}

Awaitable<std::string> read_stream(StreamSocket& stream) {
    std::string data;
    for (;;) {
        const std::string payload = co_await read_frame(stream);
        if (payload.empty()) {
            stream.close();
            co_return data;
        }
        data += payload;
    }
}

Awaitable<> write_stream(StreamSocket& stream, std::string data) {
    for (std::size_t at = 0; at < data.size();) {
        const std::size_t size = std::min<std::size_t>(data.size() - at, wire::max_frame_payload);
        const auto header = wire::encode_frame_header(static_cast<std::uint32_t>(size));
        co_await asio::async_write(stream, asio::buffer(header), asio::use_awaitable);
        co_await asio::async_write(
            stream, asio::buffer(data.data() + at, size), asio::use_awaitable
        );
        at += size;
    }
}

Awaitable<> end_stream(StreamSocket& stream) {
    const auto header = wire::encode_frame_header(0);
    co_await asio::async_write(stream, asio::buffer(header), asio::use_awaitable);
    std::uint8_t nothing = 0;
    co_await asio::async_read(stream, asio::buffer(&nothing, 1), use_tuple);
    stream.close();
}

Json make_process(std::vector<std::string> args) {
    return {
        {"args", std::move(args)},
        {"env", {"PATH=/bin"}},
        {"cwd", "/"},
        {"user", {{"uid", 0}, {"gid", 0}}},
    };
}

Json make_spec(const AgentProcess& agent, const std::string& id, std::vector<std::string> args) {
    return {
        {"ociVersion", "1.0.2"},
        {"root", {{"path", (agent.share() / id / "rootfs").native()}}},
        {"process", make_process(std::move(args))},
        {"mounts",
         {{{"destination", "/proc"}, {"type", "proc"}, {"source", "proc"}},
          {{"destination", "/dev"},
           {"type", "tmpfs"},
           {"source", "tmpfs"},
           {"options", {"nosuid", "strictatime", "mode=755", "size=65536k"}}},
          {{"destination", "/dev/pts"},
           {"type", "devpts"},
           {"source", "devpts"},
           {"options", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}}}}},
        {"linux",
         {{"namespaces",
           {{{"type", "pid"}},
            {{"type", "ipc"}},
            {{"type", "uts"}},
            {{"type", "mount"}},
            {{"type", "cgroup"}}}}}},
    };
}

Json make_script_spec(const AgentProcess& agent, const std::string& id, const std::string& script) {
    return make_spec(agent, id, {"sh", "-c", script});
}

} // namespace cppvm::testing
