#include "tests/integration/guest/host_side.hpp"

#include "common/async/timeout.hpp"
#include "common/base/scope_exit.hpp"

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <unistd.h>

namespace cppvm::testing {

Awaitable<StreamSocket> HostSide::dial(const AgentProcess& agent, wire::Preamble preamble) {
    auto executor = co_await asio::this_coro::executor;
    StreamSocket socket(executor);
    const StreamSocket::endpoint_type address =
        asio::local::stream_protocol::endpoint(agent.socket_path());
    co_await socket.async_connect(address, asio::use_awaitable);
    const auto head = wire::encode(preamble);
    co_await asio::async_write(socket, asio::buffer(head), asio::use_awaitable);
    std::array<std::uint8_t, wire::preamble_answer_size> answer{};
    co_await asio::async_read(socket, asio::buffer(answer), asio::use_awaitable);
    if (!wire::decode_preamble_answer(answer).accepted) {
        throw Error(Code::failed_precondition, "the agent refused the connection");
    }
    co_return socket;
}

Awaitable<std::unique_ptr<HostSide>> HostSide::connect(AgentProcess& agent) {
    auto executor = co_await asio::this_coro::executor;
    StreamSocket socket = co_await dial(agent, {wire::ConnectionKind::rpc, 0, 0});
    co_return std::make_unique<HostSide>(executor, agent, std::move(socket));
}

HostSide::HostSide(const asio::any_io_executor& executor, AgentProcess& agent, StreamSocket socket)
    : agent_(agent), client_(std::move(socket), Logger()), rpc_(client_), heard_(executor),
      tasks_(executor, Logger()) {
    tasks_.spawn("client", client_.run());
}

Awaitable<std::pair<std::uint64_t, StreamSocket>> HostSide::open_stream() {
    const std::uint64_t id = ++last_stream_;
    StreamSocket socket = co_await dial(agent_, {wire::ConnectionKind::stdio, id, 0});
    co_return std::pair(id, std::move(socket));
}

Awaitable<agent::v2::CreateContainerResponse> HostSide::create(
    std::string id, Json spec, agent::v2::Stdio stdio, agent::v2::CreateContainerRequest request
) {
    request.set_container_id(id);
    request.set_spec(spec.dump());
    request.set_bundle(bundle);
    const std::uint64_t number = ++agent_.last_process_number;
    request.set_process_number(number);
    *request.mutable_stdio() = stdio;
    auto created = co_await rpc_.create_container(request);
    agent_.process_numbers[{id, ""}] = number;
    co_return created;
}

Awaitable<> HostSide::start(std::string id) {
    agent::v2::StartContainerRequest request;
    request.set_container_id(id);
    co_await rpc_.start_container(request);
}

Awaitable<RunningExec> HostSide::start_exec(agent::v2::ExecRequest request) {
    const std::uint64_t number = ++agent_.last_process_number;
    request.set_process_number(number);
    auto started = co_await rpc_.exec(request);
    agent_.process_numbers[{request.container_id(), request.exec_id()}] = number;
    co_return RunningExec(*this, request, std::move(started));
}

Awaitable<unsigned> RunningExec::wait() {
    return host_.wait(container_id_, exec_id_);
}

Awaitable<> RunningExec::wait_forgotten() {
    agent::v2::ResizeConsoleRequest request;
    request.mutable_process()->set_container_id(container_id_);
    request.mutable_process()->set_exec_id(exec_id_);
    Status known;
    while (known.code != Code::not_found) {
        known = co_await failure_of(host_.rpc().resize_console(request));
    }
}

Awaitable<unsigned> HostSide::wait(std::string id, std::string exec_id) {
    const std::uint64_t number = agent_.process_numbers.at({id, exec_id});
    while (!exits_.contains(number)) {
        if (hearing_) {
            heard_.clear();
            co_await heard_.wait();
        } else {
            co_await hear_next();
        }
    }
    co_return exits_.at(number);
}

Awaitable<> HostSide::hear_next() {
    hearing_ = true;
    const ScopeExit done([this] {
        hearing_ = false;
        heard_.set();
    });
    if (!events_) {
        agent::v2::EventsRequest request;
        request.set_seen(events_seen_);
        events_ = co_await rpc_.events(request);
    }
    const auto event = co_await events_->receive();
    if (!event) {
        events_.reset(); // another connection has them now
        co_return;
    }
    if (event->has_exited()) {
        events_seen_ = event->sequence();
        exits_[event->exited().process_number()] = event->exited().exit_status();
    }
}

Awaitable<> HostSide::signal(std::string id, unsigned signal, bool all, std::string exec_id) {
    agent::v2::SignalProcessRequest request;
    request.mutable_process()->set_container_id(id);
    request.mutable_process()->set_exec_id(exec_id);
    request.set_signal(signal);
    request.set_all(all);
    co_await rpc_.signal_process(request);
}

Awaitable<> HostSide::remove(std::string id, std::string exec_id) {
    agent::v2::ProcessRef reference;
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
        const std::size_t size = input.size();
        co_await write_stream(stream, std::move(input));
        co_await end_stream(stream, size);
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

Awaitable<RunResult> HostSide::run(
    std::string id, Json spec, std::string input, agent::v2::CreateContainerRequest request
) {
    auto [input_id, input_stream] = co_await open_stream();
    auto [output_id, output_stream] = co_await open_stream();
    auto [errors_id, errors_stream] = co_await open_stream();
    agent::v2::Stdio stdio;
    stdio.set_stdin_stream(input_id);
    stdio.set_stdout_stream(output_id);
    stdio.set_stderr_stream(errors_id);
    Streams streams{std::move(input_stream), std::move(output_stream), std::move(errors_stream)};
    RunResult result;
    const auto created = co_await create(id, std::move(spec), stdio, std::move(request));
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
    auto [input_id, input_stream] = co_await open_stream();
    auto [output_id, output_stream] = co_await open_stream();
    auto [errors_id, errors_stream] = co_await open_stream();
    Streams streams{std::move(input_stream), std::move(output_stream), std::move(errors_stream)};
    agent::v2::ExecRequest request;
    request.set_container_id(id);
    request.set_exec_id(exec_id);
    request.set_process(process.dump());
    request.mutable_stdio()->set_stdin_stream(input_id);
    request.mutable_stdio()->set_stdout_stream(output_id);
    request.mutable_stdio()->set_stderr_stream(errors_id);
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

Awaitable<std::string> read_stream(StreamSocket& stream, std::uint64_t received) {
    std::string data;
    for (;;) {
        const std::string payload = co_await read_frame(stream);
        received += payload.size();
        const auto confirmation = wire::encode_confirmation(received);
        co_await asio::async_write(stream, asio::buffer(confirmation), asio::use_awaitable);
        if (payload.empty()) {
            const auto word = wire::encode_confirmation(wire::stream_refused);
            co_await asio::async_write(stream, asio::buffer(word), asio::use_awaitable);
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

Awaitable<> end_stream(StreamSocket& stream, std::uint64_t written) {
    const auto header = wire::encode_frame_header(0);
    co_await asio::async_write(stream, asio::buffer(header), asio::use_awaitable);
    while (co_await read_confirmation(stream) <= written) {
    }
    stream.close();
}

Awaitable<std::uint64_t> read_confirmation(StreamSocket& stream) {
    std::array<std::uint8_t, wire::confirmation_size> bytes{};
    co_await asio::async_read(stream, asio::buffer(bytes), asio::use_awaitable);
    co_return wire::decode_confirmation(bytes);
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
