#include "guest-agent/service/container_service.hpp"

#include <boost/asio/steady_timer.hpp>

#include <chrono>

namespace cppvm::guest {

namespace {

// A clock drifts by less than a millisecond in that time, and that long it is wrong at most after
// a suspend. Each comparison wakes the guest for some 0.1 ms.
constexpr std::chrono::seconds clock_interval{10};

StdioRequest to_request(const agent::v1::Stdio& stdio) {
    StdioRequest request;
    request.terminal = stdio.terminal();
    request.input_token = stdio.stdin_token();
    request.output_token = stdio.stdout_token();
    request.error_token = stdio.stderr_token();
    request.console_width = stdio.console_width();
    request.console_height = stdio.console_height();
    return request;
}

ProcessName to_name(const agent::v1::ProcessRef& reference) {
    return {reference.container_id(), reference.exec_id()};
}

template <class Response>
Response to_response(const CreateResult& result) {
    Response response;
    response.set_pid(result.pid);
    for (const std::string& path : result.unsupported) {
        response.add_unsupported(path);
    }
    return response;
}

} // namespace

Awaitable<agent::v1::CreateContainerResponse> ContainerService::create_container(
    ttrpc::CallContext&, const agent::v1::CreateContainerRequest& request
) {
    const CreateResult result = co_await containers_.create(
        request.container_id(), request.spec(), to_request(request.stdio())
    );
    co_return to_response<agent::v1::CreateContainerResponse>(result);
}

Awaitable<agent::v1::Empty> ContainerService::start_container(
    ttrpc::CallContext&, const agent::v1::StartContainerRequest& request
) {
    co_await containers_.start(request.container_id());
    co_return agent::v1::Empty();
}

Awaitable<> ContainerService::run_exec(
    ttrpc::CallContext&,
    const agent::v1::RunExecRequest& request,
    ttrpc::ReplyWriter<agent::v1::ExecEvent>& events
) {
    const ProcessName name{request.container_id(), request.exec_id()};
    const CreateResult result =
        co_await containers_.exec(name, request.process(), to_request(request.stdio()));
    agent::v1::ExecEvent event;
    *event.mutable_started() = to_response<agent::v1::ExecEvent::Started>(result);
    co_await events.send(event);
    const unsigned status = co_await containers_.wait(name);
    event.mutable_exited()->set_exit_status(status);
    co_await events.send(event);
    co_await containers_.forget_exec(name);
}

Awaitable<agent::v1::WaitProcessResponse>
ContainerService::wait_process(ttrpc::CallContext&, const agent::v1::ProcessRef& request) {
    agent::v1::WaitProcessResponse response;
    const unsigned status = co_await containers_.wait(to_name(request));
    response.set_exit_status(status);
    co_return response;
}

Awaitable<agent::v1::Empty> ContainerService::signal_process(
    ttrpc::CallContext&, const agent::v1::SignalProcessRequest& request
) {
    containers_.signal(to_name(request.process()), request.signal(), request.all());
    co_return agent::v1::Empty();
}

Awaitable<agent::v1::Empty> ContainerService::resize_console(
    ttrpc::CallContext&, const agent::v1::ResizeConsoleRequest& request
) {
    containers_.resize(to_name(request.process()), request.width(), request.height());
    co_return agent::v1::Empty();
}

Awaitable<agent::v1::ListProcessesResponse> ContainerService::list_processes(
    ttrpc::CallContext&, const agent::v1::ListProcessesRequest& request
) {
    agent::v1::ListProcessesResponse response;
    for (const ProcessEntry& process : containers_.list(request.container_id())) {
        auto* entry = response.add_processes();
        entry->set_pid(process.pid);
        entry->set_exec_id(process.exec_id);
        entry->set_is_init(process.is_init);
    }
    co_return response;
}

Awaitable<agent::v1::Empty>
ContainerService::delete_process(ttrpc::CallContext&, const agent::v1::ProcessRef& request) {
    co_await containers_.remove(to_name(request));
    co_return agent::v1::Empty();
}

Awaitable<agent::v1::SetClockResponse>
ContainerService::set_clock(ttrpc::CallContext&, const agent::v1::SetClockRequest& request) {
    clock_.hear(request.unix_ns(), request.adjust_ns());
    agent::v1::SetClockResponse response;
    response.set_unix_ns(wall_clock_ns());
    co_return response;
}

Awaitable<> ContainerService::watch_clock(
    ttrpc::CallContext&, const agent::v1::Empty&, ttrpc::ReplyWriter<agent::v1::Empty>& words
) {
    auto executor = co_await asio::this_coro::executor;
    for (;;) {
        asio::steady_timer pause(executor, clock_interval);
        co_await pause.async_wait(asio::use_awaitable);
        co_await words.send(agent::v1::Empty());
    }
}

Awaitable<agent::v1::Empty> ContainerService::ping(ttrpc::CallContext&, const agent::v1::Empty&) {
    co_return agent::v1::Empty();
}

Awaitable<agent::v1::Empty>
ContainerService::power_off(ttrpc::CallContext& context, const agent::v1::Empty&) {
    context.after_reply = [this] { power_off_.set(); };
    co_return agent::v1::Empty();
}

} // namespace cppvm::guest
