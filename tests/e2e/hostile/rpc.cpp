#include "tests/e2e/hostile/rpc.hpp"

#include "common/ttrpc/envelope.hpp"
#include "common/ttrpc/frame.hpp"
#include "proto/cppvm/agent.pb.h"
#include "tests/e2e/hostile/socket.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <charconv>
#include <csignal>
#include <memory>
#include <mutex>
#include <sys/socket.h>
#include <thread>
#include <vector>

namespace cppvm::hostile {

namespace {

namespace v2 = agent::v2;
using namespace ttrpc;

std::vector<std::string> arguments_of(const nlohmann::json& process) {
    return process.value("args", std::vector<std::string>());
}

/// One connection; each call has a thread of its own.
class RpcConnection : public std::enable_shared_from_this<RpcConnection> {
  public:
    RpcConnection(UniqueFd socket, const Behaviour& guest, Processes& processes)
        : socket_(std::move(socket)), guest_(guest), processes_(processes) {}

    void run();

  private:
    void handle(std::uint32_t stream, const Request& request);
    void create(std::uint32_t stream, const v2::CreateContainerRequest& request);
    void exec(std::uint32_t stream, const v2::ExecRequest& request);
    void begin(const Processes::Handle& process);
    void tell_events(std::uint32_t stream, std::uint64_t seen);
    void signal(std::uint32_t stream, const v2::SignalProcessRequest& request);
    void list(std::uint32_t stream, const std::string& container);
    void flood(std::uint32_t stream, const Behaviour& behaviour);
    /// Where a word says so, `method` is answered by a lie; then there is nothing left to do.
    bool lied(std::uint32_t stream, const std::string& method, const Behaviour& behaviour);

    template <class Message>
    void answer(std::uint32_t stream, const Message& message) {
        write(encode_response(stream, {{}, message.SerializeAsString()}));
    }
    void answer_status(std::uint32_t stream, Code code) {
        write(encode_response(stream, {{code, "so says the guest"}, ""}));
    }
    bool write(std::string_view bytes) {
        const std::lock_guard lock(mutex_);
        return write_all(socket_.get(), bytes);
    }

    UniqueFd socket_;
    std::mutex mutex_; // of writing
    const Behaviour& guest_;
    Processes& processes_;
};

void RpcConnection::run() {
    for (;;) {
        std::array<char, frame_header_size> head{};
        if (!read_all(socket_.get(), head.data(), head.size())) {
            return;
        }
        const FrameHeader header = decode_header(head);
        std::string payload(header.length, '\0');
        if (!read_all(socket_.get(), payload.data(), payload.size())) {
            return;
        }
        if (header.type != FrameType::request) {
            continue;
        }
        if (auto request = decode_request(payload)) {
            std::thread([self = shared_from_this(), stream = header.stream, call = *request] {
                self->handle(stream, call);
            }).detach();
        }
    }
}

template <class Message>
Message parsed(const std::string& bytes) {
    Message message;
    message.ParseFromString(bytes);
    return message;
}

void RpcConnection::handle(std::uint32_t stream, const Request& request) {
    const std::string& method = request.method;
    if (method == "CreateContainer") {
        create(stream, parsed<v2::CreateContainerRequest>(request.payload));
    } else if (method == "Exec") {
        exec(stream, parsed<v2::ExecRequest>(request.payload));
    } else if (method == "Events") {
        tell_events(stream, parsed<v2::EventsRequest>(request.payload).seen());
    } else if (method == "SignalProcess") {
        signal(stream, parsed<v2::SignalProcessRequest>(request.payload));
    } else if (method == "ListProcesses") {
        list(stream, parsed<v2::ListProcessesRequest>(request.payload).container_id());
    } else {
        // StartContainer's field 1 is the container's id, DeleteProcess' field 1 a reference to it.
        const auto container =
            method == "DeleteProcess"
                ? parsed<v2::ProcessRef>(request.payload).container_id()
                : parsed<v2::StartContainerRequest>(request.payload).container_id();
        const auto init = processes_.find(container, "");
        if (!lied(stream, method, init ? init->behaviour : guest_)) {
            answer(stream, v2::Empty());
        }
        if (method == "StartContainer" && guest_.is("rpc", "close")) {
            ::shutdown(socket_.get(), SHUT_RDWR);
        }
    }
}

bool RpcConnection::lied(
    std::uint32_t stream, const std::string& method, const Behaviour& behaviour
) {
    const std::string how = behaviour.get(method);
    if (how == "garbage") {
        write(encode_frame(stream, FrameType::response, 0, std::string(100, '\xff')));
    } else if (!how.empty() && how != "hang") {
        int code = 0;
        std::from_chars(how.data(), how.data() + how.size(), code);
        answer_status(stream, static_cast<Code>(code));
    }
    return !how.empty();
}

void RpcConnection::flood(std::uint32_t stream, const Behaviour& behaviour) {
    const std::string how = behaviour.get("frames");
    std::string frame;
    if (how == "unknown") {
        frame = encode_frame(99999, FrameType::response, 0, "");
    } else if (how == "known") {
        frame = encode_frame(stream, FrameType::data, 0, std::string(1000, '\0'));
    } else if (how == "garbage") {
        frame = std::string(10000, '\xee');
    }
    while (!frame.empty() && write(frame)) {
    }
}

void RpcConnection::create(std::uint32_t stream, const v2::CreateContainerRequest& request) {
    const auto spec = nlohmann::json::parse(request.spec());
    const Behaviour behaviour = guest_.with(arguments_of(spec.at("process")));
    const auto process = processes_.add(
        request.container_id(),
        "",
        request.process_number(),
        behaviour,
        request.stdio().stdout_stream()
    );
    begin(process);
    if (lied(stream, "CreateContainer", behaviour)) {
        return;
    }
    answer(stream, v2::CreateContainerResponse());
    flood(stream, behaviour);
}

void RpcConnection::exec(std::uint32_t stream, const v2::ExecRequest& request) {
    const auto spec = nlohmann::json::parse(request.process());
    const Behaviour behaviour = guest_.with(arguments_of(spec));
    const auto process = processes_.add(
        request.container_id(),
        request.exec_id(),
        request.process_number(),
        behaviour,
        request.stdio().stdout_stream()
    );
    begin(process);
    if (lied(stream, "Exec", behaviour)) {
        return;
    }
    answer(stream, v2::ExecResponse());
    flood(stream, behaviour);
}

void RpcConnection::begin(const Processes::Handle& process) {
    std::thread([this, self = shared_from_this(), process] { write_output(processes_, process); }
    ).detach();
    if (process->behaviour.is("exit", "early")) {
        processes_.tell(process, 7);
    }
}

// On whatever connection it is asked.
void RpcConnection::tell_events(std::uint32_t stream, std::uint64_t seen) {
    if (lied(stream, "Events", guest_)) {
        return;
    }
    for (std::uint64_t told = seen;; ++told) {
        const ToldExit exit = processes_.told_after(told);
        v2::Event event;
        event.set_sequence(told + 1);
        event.mutable_exited()->set_process_number(exit.process_number);
        event.mutable_exited()->set_exit_status(exit.status);
        if (!write(encode_frame(stream, FrameType::data, 0, event.SerializeAsString()))) {
            return;
        }
    }
}

void RpcConnection::signal(std::uint32_t stream, const v2::SignalProcessRequest& request) {
    const auto& name = request.process();
    const auto process = processes_.find(name.container_id(), name.exec_id());
    if (process && lied(stream, "SignalProcess", process->behaviour)) {
        return;
    }
    answer(stream, v2::Empty());
    if (process && request.signal() == SIGKILL && !process->behaviour.is("exit", "never")) {
        processes_.end(process, 128 + SIGKILL);
    }
}

void RpcConnection::list(std::uint32_t stream, const std::string& container) {
    const auto init = processes_.find(container, "");
    const Behaviour& behaviour = init ? init->behaviour : guest_;
    if (lied(stream, "ListProcesses", behaviour)) {
        return;
    }
    v2::ListProcessesResponse response;
    const std::string how = behaviour.get("list");
    if (how == "large") {
        constexpr std::uint32_t size = max_payload_bytes + 1;
        const auto head = encode_header({size, stream, FrameType::response, 0});
        write(std::string(head.data(), head.size()) + std::string(size, '\n'));
        return;
    }
    // An entry takes 4 bytes where the pid is small, 6 otherwise; the limit of a message is 4 MiB.
    const int count = how == "million" ? 1'000'000 : how == "many" ? 600'000 : 100;
    for (int pid = 1; pid <= count; ++pid) {
        response.add_processes()->set_pid(
            how == "duplicate"  ? 5
            : how == "negative" ? -pid
            : how == "million"  ? pid % 128
                                : pid
        );
    }
    answer(stream, response);
}

} // namespace

void serve_rpc(UniqueFd connection, const Behaviour& guest, Processes& processes) {
    if (guest.is("rpc", "deaf")) {
        sleep_forever();
    }
    std::make_shared<RpcConnection>(std::move(connection), guest, processes)->run();
}

} // namespace cppvm::hostile
