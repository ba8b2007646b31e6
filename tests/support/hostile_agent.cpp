#include "tests/support/hostile_agent.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <utility>

namespace cppvm::testing {

namespace {

template <class T>
T parse(const std::string& payload) {
    T message;
    message.ParseFromString(payload);
    return message;
}

std::string data_frame(std::uint32_t stream, const google::protobuf::MessageLite& message) {
    return ttrpc::encode_frame(stream, ttrpc::FrameType::data, 0, message.SerializeAsString());
}

std::string end_frame(std::uint32_t stream) {
    constexpr std::uint8_t end = ttrpc::flag_remote_closed | ttrpc::flag_no_data;
    return ttrpc::encode_frame(stream, ttrpc::FrameType::data, end, {});
}

} // namespace

HostileAgent::HostileAgent(
    const asio::any_io_executor& executor, std::string method, Behaviour behaviour
)
    : executor_(executor), method_(std::move(method)), behaviour_(std::move(behaviour)),
      more_(executor), room_(executor), tasks_(executor, Logger()) {}

Awaitable<> HostileAgent::serve(StreamSocket socket) {
    socket_.emplace(std::move(socket));
    tasks_.spawn("write", write());
    ttrpc::FrameDecoder decoder;
    std::array<char, 4096> buffer{};
    for (;;) {
        auto [error, size] = co_await socket_->async_read_some(asio::buffer(buffer), use_tuple);
        if (error) {
            break;
        }
        std::string_view rest(buffer.data(), size);
        while (auto frame = decoder.next(rest)) {
            auto request = ttrpc::decode_request(frame->payload);
            if (frame->header.type == ttrpc::FrameType::request && request) {
                tasks_.spawn(
                    "call",
                    handle({frame->header.stream, request->method, std::move(request->payload)})
                );
            }
        }
    }
    cut();
}

void HostileAgent::cut() noexcept {
    if (socket_) {
        boost::system::error_code ignored;
        socket_->close(ignored);
        room_.set();
    }
}

Awaitable<> HostileAgent::stop() {
    cut();
    co_await tasks_.stop();
}

Awaitable<> HostileAgent::handle(Call call) {
    if (call.method == method_) {
        ++attacks;
        co_await behaviour_(*this, call);
    } else {
        co_await answer_honestly(std::move(call));
    }
}

// Through one writer, so that the frames of calls beside each other do not mix.
Awaitable<> HostileAgent::send(std::string bytes) {
    constexpr std::size_t enough = 1024UL * 1024;
    while (outgoing_.size() > enough && socket_->is_open()) {
        room_.clear();
        co_await room_.wait();
    }
    outgoing_.append(bytes);
    more_.set();
}

Awaitable<> HostileAgent::write() {
    for (;;) {
        co_await more_.wait();
        more_.clear();
        const std::string batch = std::exchange(outgoing_, {});
        room_.set();
        auto [error, size] = co_await asio::async_write(*socket_, asio::buffer(batch), use_tuple);
        if (error) {
            co_return;
        }
    }
}

Awaitable<> HostileAgent::send_status(std::uint32_t stream, int code, std::string message) {
    ttrpc::Response response;
    response.status = {static_cast<Code>(code), std::move(message)};
    co_await send(ttrpc::encode_response(stream, std::move(response)));
}

Awaitable<>
HostileAgent::send_reply(std::uint32_t stream, const google::protobuf::MessageLite& reply) {
    ttrpc::Response response;
    response.payload = reply.SerializeAsString(); // now: it need not outlive the call
    return send(ttrpc::encode_response(stream, std::move(response)));
}

Awaitable<> HostileAgent::send_ok(const Call& call) {
    if (call.method == "RunExec") {
        agent::v1::ExecEvent event;
        event.mutable_started();
        co_await send(data_frame(call.stream, event));
        co_return;
    }
    co_await send_reply(call.stream, agent::v1::Empty());
}

Awaitable<> HostileAgent::pause(std::chrono::milliseconds duration) {
    asio::steady_timer timer(executor_, duration);
    co_await timer.async_wait(asio::use_awaitable);
}

Awaitable<> HostileAgent::answer_honestly(Call call) {
    if (call.method == "CreateContainer") {
        const auto request = parse<agent::v1::CreateContainerRequest>(call.payload);
        processes_[{request.container_id(), ""}];
        co_await send_reply(call.stream, agent::v1::CreateContainerResponse());
    } else if (call.method == "RunExec") {
        co_await run_exec(call);
    } else if (call.method == "WaitProcess") {
        const auto reference = parse<agent::v1::ProcessRef>(call.payload);
        Process& process = processes_[{reference.container_id(), reference.exec_id()}];
        process.waiting.push_back(call.stream);
        if (process.status) {
            co_await exit(reference.container_id(), reference.exec_id(), *process.status);
        }
    } else if (call.method == "SignalProcess") {
        co_await signal(call);
    } else if (call.method == "ListProcesses") {
        co_await list(call);
    } else {
        co_await send_reply(call.stream, agent::v1::Empty());
    }
}

Awaitable<> HostileAgent::run_exec(const Call& call) {
    const auto request = parse<agent::v1::RunExecRequest>(call.payload);
    processes_[{request.container_id(), request.exec_id()}].exec_stream = call.stream;
    agent::v1::ExecEvent event;
    event.mutable_started();
    co_await send(data_frame(call.stream, event));
}

Awaitable<> HostileAgent::signal(const Call& call) {
    const auto request = parse<agent::v1::SignalProcessRequest>(call.payload);
    co_await send_reply(call.stream, agent::v1::Empty());
    if (request.signal() == 9) {
        co_await exit(request.process().container_id(), request.process().exec_id(), 137);
    }
}

Awaitable<> HostileAgent::list(const Call& call) {
    agent::v1::ListProcessesResponse response;
    for (const auto& [key, process] : processes_) {
        auto* const entry = response.add_processes();
        entry->set_pid(100 + response.processes_size());
        entry->set_exec_id(key.second);
        entry->set_is_init(key.second.empty());
    }
    co_await send_reply(call.stream, response);
}

Awaitable<> HostileAgent::exit(std::string container, std::string exec, std::uint32_t status) {
    Process& process = processes_[{container, exec}];
    process.status = status;
    agent::v1::WaitProcessResponse response;
    response.set_exit_status(status);
    for (const std::uint32_t stream : std::exchange(process.waiting, {})) {
        co_await send_reply(stream, response);
    }
    if (const std::uint32_t stream = std::exchange(process.exec_stream, 0)) {
        agent::v1::ExecEvent event;
        event.mutable_exited()->set_exit_status(status);
        co_await send(data_frame(stream, event) + end_frame(stream));
    }
}

Awaitable<> HostileAgent::exit_all(std::uint32_t status) {
    const auto processes = processes_;
    for (const auto& [key, process] : processes) {
        co_await exit(key.first, key.second, status);
    }
}

} // namespace cppvm::testing
