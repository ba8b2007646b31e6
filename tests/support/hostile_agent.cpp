#include "tests/support/hostile_agent.hpp"

#include "common/async/first_of.hpp"

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

} // namespace

HostileAgent::HostileAgent(
    const asio::any_io_executor& executor, std::string method, Behaviour behaviour
)
    : executor_(executor), method_(std::move(method)), behaviour_(std::move(behaviour)),
      more_(executor), room_(executor), tasks_(executor, Logger()) {}

Awaitable<> HostileAgent::serve(StreamSocket socket) {
    socket_.emplace(std::move(socket));
    outgoing_.clear();
    events_stream_ = 0;
    co_await first_of(read(), write());
    cut();
}

Awaitable<> HostileAgent::read() {
    ttrpc::FrameDecoder decoder;
    std::array<char, 4096> buffer{};
    for (;;) {
        auto [error, size] = co_await socket_->async_read_some(asio::buffer(buffer), use_tuple);
        if (error) {
            co_return;
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
    if (call.method == "Events") {
        co_return; // and nothing is ever told
    }
    co_await send_reply(call.stream, agent::v2::Empty());
}

Awaitable<> HostileAgent::pause(std::chrono::milliseconds duration) {
    asio::steady_timer timer(executor_, duration);
    co_await timer.async_wait(asio::use_awaitable);
}

Awaitable<> HostileAgent::answer_honestly(Call call) {
    if (call.method == "CreateContainer") {
        const auto request = parse<agent::v2::CreateContainerRequest>(call.payload);
        processes_[{request.container_id(), ""}] = request.process_number();
        co_await send_reply(call.stream, agent::v2::CreateContainerResponse());
    } else if (call.method == "Exec") {
        const auto request = parse<agent::v2::ExecRequest>(call.payload);
        processes_[{request.container_id(), request.exec_id()}] = request.process_number();
        co_await send_reply(call.stream, agent::v2::ExecResponse());
    } else if (call.method == "Events") {
        co_await start_telling(call);
    } else if (call.method == "StartContainer") {
        co_await send_reply(call.stream, agent::v2::Empty());
        co_await tell_wishes();
    } else if (call.method == "SignalProcess") {
        co_await signal(call);
    } else if (call.method == "ListProcesses") {
        co_await list(call);
    } else {
        co_await send_reply(call.stream, agent::v2::Empty());
    }
}

Awaitable<> HostileAgent::start_telling(const Call& call) {
    events_stream_ = call.stream;
    const auto seen = parse<agent::v2::EventsRequest>(call.payload).seen();
    for (std::size_t i = seen; i < events_.size(); ++i) {
        co_await send(data_frame(call.stream, events_[i]));
    }
}

Awaitable<> HostileAgent::signal(const Call& call) {
    const auto request = parse<agent::v2::SignalProcessRequest>(call.payload);
    co_await send_reply(call.stream, agent::v2::Empty());
    if (request.signal() == 9) {
        co_await exit(request.process().container_id(), request.process().exec_id(), 137);
    }
}

Awaitable<> HostileAgent::list(const Call& call) {
    agent::v2::ListProcessesResponse response;
    for (const auto& [key, number] : processes_) {
        auto* const entry = response.add_processes();
        entry->set_pid(100 + response.processes_size());
        entry->set_exec_id(key.second);
        entry->set_is_init(key.second.empty());
    }
    co_await send_reply(call.stream, response);
}

Awaitable<> HostileAgent::exit(std::string container, std::string exec, std::uint32_t status) {
    agent::v2::Event event;
    event.mutable_exited()->set_process_number(processes_[{container, exec}]);
    event.mutable_exited()->set_exit_status(status);
    co_await tell(std::move(event));
}

Awaitable<> HostileAgent::tell(agent::v2::Event event) {
    event.set_sequence(events_.size() + 1);
    events_.push_back(event);
    if (events_stream_ != 0) {
        co_await send(data_frame(events_stream_, event));
    }
}

// The answers are SetClock and, as for a container that watches a file of a volume, Replay.
Awaitable<> HostileAgent::tell_wishes() {
    agent::v2::Event clock;
    clock.mutable_clock_wanted();
    co_await tell(std::move(clock));
    agent::v2::Event watch;
    watch.mutable_watch_wanted()->set_watch(events_.size() + 1);
    watch.mutable_watch_wanted()->set_path("c1/volume/file");
    watch.mutable_watch_wanted()->set_inode(2);
    co_await tell(std::move(watch));
}

Awaitable<> HostileAgent::exit_all(std::uint32_t status) {
    const auto processes = processes_;
    for (const auto& [key, number] : processes) {
        co_await exit(key.first, key.second, status);
    }
}

} // namespace cppvm::testing
