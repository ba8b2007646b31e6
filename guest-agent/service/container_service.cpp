#include "guest-agent/service/container_service.hpp"

#include "common/async/timeout.hpp"
#include "common/base/plain_message.hpp"
#include "common/network/message.hpp"
#include "guest-agent/network/counters.hpp"

#include <chrono>
#include <sys/sysmacros.h>

namespace cppvm::guest {

namespace {

/// For interfaces that the host has given the machine a moment ago.
constexpr std::chrono::seconds network_limit{15};

StdioRequest to_request(const agent::v2::Stdio& stdio) {
    StdioRequest request;
    request.terminal = stdio.terminal();
    request.input_stream = stdio.stdin_stream();
    request.output_stream = stdio.stdout_stream();
    request.error_stream = stdio.stderr_stream();
    request.console_width = stdio.console_width();
    request.console_height = stdio.console_height();
    return request;
}

DiskRequest to_disks(const agent::v2::CreateContainerRequest& request) {
    DiskRequest disks;
    for (const auto& disk : request.disks()) {
        disks.devices.push_back({disk.serial(), ::makedev(disk.host_major(), disk.host_minor())});
    }
    if (request.has_root_disk()) {
        const auto& root = request.root_disk();
        disks.root = {
            root.serial(),
            root.type(),
            {root.options().begin(), root.options().end()},
            {root.layers().begin(), root.layers().end()}
        };
    }
    return disks;
}

std::vector<HostSocketSpec> to_sockets(const agent::v2::CreateContainerRequest& request) {
    std::vector<HostSocketSpec> sockets;
    for (const auto& socket : request.sockets()) {
        sockets.push_back({socket.number(), socket.uid(), socket.gid(), socket.mode()});
    }
    return sockets;
}

SeccompProgram to_program(const agent::v2::SeccompProgram& message) {
    return {from_message<sock_filter>(message.instructions()), message.flags()};
}

ProcessName to_name(const agent::v2::ProcessRef& reference) {
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

agent::v2::StatsResponse
to_response(const CgroupStats& stats, const std::vector<InterfaceCounters>& interfaces) {
    agent::v2::StatsResponse response;
    response.mutable_values()->insert(stats.values.begin(), stats.values.end());
    for (const DeviceNumbers& numbers : stats.devices) {
        auto* const device = response.add_devices();
        device->set_major(numbers.major);
        device->set_minor(numbers.minor);
        device->mutable_values()->insert(numbers.values.begin(), numbers.values.end());
    }
    for (const InterfaceCounters& counters : interfaces) {
        auto* const interface = response.add_interfaces();
        interface->set_name(counters.name);
        interface->set_rx_bytes(counters.rx_bytes);
        interface->set_rx_packets(counters.rx_packets);
        interface->set_rx_errors(counters.rx_errors);
        interface->set_rx_dropped(counters.rx_dropped);
        interface->set_tx_bytes(counters.tx_bytes);
        interface->set_tx_packets(counters.tx_packets);
        interface->set_tx_errors(counters.tx_errors);
        interface->set_tx_dropped(counters.tx_dropped);
    }
    return response;
}

agent::v2::SetClockResponse hear(Clock& clock, const agent::v2::SetClockRequest& request) {
    clock.hear(request.unix_ns(), request.adjust_ns());
    agent::v2::SetClockResponse response;
    response.set_unix_ns(wall_clock_ns());
    return response;
}

} // namespace

ContainerService::ContainerService(
    const asio::any_io_executor& executor,
    Containers& containers,
    HostSockets& sockets,
    Watches& watches,
    Pod& pod,
    Clock& clock,
    Environment& environment,
    Logger logger
)
    : containers_(containers), sockets_(sockets), watched_volumes_(watches), pod_(pod),
      clock_(clock), environment_(environment), logger_(logger),
      watches_(executor, std::move(logger)) {
    watches_.spawn("watch listeners", watch_listeners());
    watched_volumes_.set_on_event([this](agent::v2::Event event) { append(std::move(event)); });
    sockets_.set_on_waiting([this] {
        if (subscription_) {
            subscription_->wake();
        }
    });
}

// Without it only connections to the host's loopback addresses are missing.
Awaitable<> ContainerService::watch_listeners() {
    try {
        for (;;) {
            const auto ports = co_await environment_.next_listeners();
            listening_.Clear();
            for (const network::ListeningPort& port : ports) {
                auto* const entry = listening_.add_ports();
                entry->set_ipv6(port.ipv6);
                entry->set_port(port.port);
                entry->set_everywhere(port.everywhere);
            }
            if (subscription_) {
                subscription_->tell_listening();
            }
        }
    } catch (const Error& error) {
        logger_.warn("Listening ports are not known", {{"error", error.message()}});
    }
}

Awaitable<> ContainerService::stop() {
    co_await watches_.stop();
}

Awaitable<agent::v2::ConfigureResponse>
ContainerService::configure(ttrpc::CallContext&, const agent::v2::ConfigureRequest& request) {
    agent::v2::ConfigureResponse response;
    *response.mutable_clock() = hear(clock_, request.clock());
    co_return response;
}

Awaitable<agent::v2::Empty> ContainerService::configure_pod(
    ttrpc::CallContext&, const agent::v2::ConfigurePodRequest& request
) {
    std::map<std::string, std::string> sysctls;
    for (const auto& [key, value] : request.sysctls()) {
        sysctls[key] = value;
    }
    environment_.configure_pod(request.hostname(), sysctls);
    pod_.set_shared_memory(request.shm_bytes());
    co_return agent::v2::Empty();
}

Awaitable<agent::v2::CreateContainerResponse> ContainerService::create_container(
    ttrpc::CallContext&, const agent::v2::CreateContainerRequest& request
) {
    log_.confirm(request.events_seen());
    const CreateResult result = co_await containers_.create(
        request.container_id(),
        {request.spec(),
         request.bundle(),
         to_disks(request),
         to_sockets(request),
         {request.submounts().begin(), request.submounts().end()},
         {request.pci_ports().begin(), request.pci_ports().end()},
         to_program(request.seccomp())},
        to_request(request.stdio())
    );
    watches_.spawn("watch init", watch_init(request.container_id(), request.process_number()));
    co_return to_response<agent::v2::CreateContainerResponse>(result);
}

Awaitable<agent::v2::Empty> ContainerService::start_container(
    ttrpc::CallContext&, const agent::v2::StartContainerRequest& request
) {
    co_await containers_.start(request.container_id());
    co_return agent::v2::Empty();
}

Awaitable<agent::v2::ExecResponse>
ContainerService::exec(ttrpc::CallContext&, const agent::v2::ExecRequest& request) {
    log_.confirm(request.events_seen());
    const ProcessName name{request.container_id(), request.exec_id()};
    const CreateResult result =
        co_await containers_.exec(name, request.process(), to_request(request.stdio()));
    watches_.spawn("watch exec", watch_exec(name, request.process_number()));
    co_return to_response<agent::v2::ExecResponse>(result);
}

Awaitable<> ContainerService::watch_init(std::string container_id, std::uint64_t number) {
    append_exit(number, co_await containers_.wait({std::move(container_id), ""}));
}

Awaitable<> ContainerService::watch_exec(ProcessName name, std::uint64_t number) {
    append_exit(number, co_await containers_.wait(name));
    co_await containers_.forget_exec(name);
}

void ContainerService::append_exit(std::uint64_t number, unsigned status) {
    agent::v2::Event event;
    event.mutable_exited()->set_process_number(number);
    event.mutable_exited()->set_exit_status(status);
    append(std::move(event));
}

void ContainerService::report_out_of_memory(const std::string& container_id) {
    agent::v2::Event event;
    event.mutable_out_of_memory()->set_container_id(container_id);
    append(std::move(event));
}

void ContainerService::append(agent::v2::Event event) {
    log_.append(std::move(event));
    if (subscription_) {
        subscription_->wake();
    }
}

Awaitable<> ContainerService::events(
    ttrpc::CallContext&,
    const agent::v2::EventsRequest& request,
    ttrpc::ReplyWriter<agent::v2::Event>& events
) {
    if (subscription_) {
        subscription_->supersede(); // the call before, whose connection may be dead
    }
    log_.confirm(request.seen());
    const auto subscription = std::make_shared<EventSubscription>(
        co_await asio::this_coro::executor, log_, listening_, sockets_, request.seen()
    );
    subscription_ = subscription;
    co_await subscription->run(events);
}

Awaitable<agent::v2::Empty> ContainerService::signal_process(
    ttrpc::CallContext&, const agent::v2::SignalProcessRequest& request
) {
    containers_.signal(to_name(request.process()), request.signal(), request.all());
    co_return agent::v2::Empty();
}

Awaitable<agent::v2::Empty> ContainerService::resize_console(
    ttrpc::CallContext&, const agent::v2::ResizeConsoleRequest& request
) {
    containers_.resize(to_name(request.process()), request.width(), request.height());
    co_return agent::v2::Empty();
}

Awaitable<agent::v2::ListProcessesResponse> ContainerService::list_processes(
    ttrpc::CallContext&, const agent::v2::ListProcessesRequest& request
) {
    agent::v2::ListProcessesResponse response;
    for (const ProcessEntry& process : containers_.list(request.container_id())) {
        auto* entry = response.add_processes();
        entry->set_pid(process.pid);
        entry->set_exec_id(process.exec_id);
        entry->set_is_init(process.is_init);
    }
    co_return response;
}

Awaitable<agent::v2::Empty>
ContainerService::freeze(ttrpc::CallContext&, const agent::v2::FreezeRequest& request) {
    co_await containers_.freeze(request.container_id(), request.frozen());
    co_return agent::v2::Empty();
}

Awaitable<agent::v2::Empty>
ContainerService::look_again(ttrpc::CallContext&, const agent::v2::LookAgainRequest& request) {
    for (const std::string& path : request.paths()) {
        containers_.look_again(path);
        co_await asio::post(asio::use_awaitable); // it is others' turn
    }
    co_return agent::v2::Empty();
}

Awaitable<agent::v2::Empty>
ContainerService::replay(ttrpc::CallContext&, const agent::v2::ReplayRequest& request) {
    co_await watched_volumes_.replay(request);
    co_return agent::v2::Empty();
}

Awaitable<agent::v2::UpdateContainerResponse> ContainerService::update_container(
    ttrpc::CallContext&, const agent::v2::UpdateContainerRequest& request
) {
    agent::v2::UpdateContainerResponse response;
    for (const auto& path : containers_.update(request.container_id(), request.resources())) {
        response.add_unsupported(path);
    }
    co_return response;
}

Awaitable<agent::v2::StatsResponse>
ContainerService::stats(ttrpc::CallContext&, const agent::v2::StatsRequest& request) {
    co_return to_response(containers_.stats(request.container_id()), read_counters());
}

Awaitable<agent::v2::Empty>
ContainerService::delete_process(ttrpc::CallContext&, const agent::v2::ProcessRef& request) {
    co_await containers_.remove(to_name(request));
    co_return agent::v2::Empty();
}

Awaitable<agent::v2::SetNetworkResponse>
ContainerService::set_network(ttrpc::CallContext&, const agent::v2::SetNetworkRequest& request) {
    agent::v2::SetNetworkResponse response;
    const auto unsupported = co_await environment_.set_network(
        network::to_state(request.network()), deadline_in(network_limit)
    );
    for (const std::string& part : unsupported) {
        response.add_unsupported(part);
    }
    co_return response;
}

Awaitable<agent::v2::SetClockResponse>
ContainerService::set_clock(ttrpc::CallContext&, const agent::v2::SetClockRequest& request) {
    log_.confirm(request.events_seen());
    co_return hear(clock_, request);
}

} // namespace cppvm::guest
