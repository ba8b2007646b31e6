#pragma once

#include "common/async/task_group.hpp"
#include "guest-agent/container/containers.hpp"
#include "guest-agent/service/clock.hpp"
#include "guest-agent/service/environment.hpp"
#include "guest-agent/service/event_log.hpp"
#include "guest-agent/service/event_subscription.hpp"
#include "proto/cppvm/agent.ttrpc.hpp"

#include <memory>

namespace cppvm::guest {

/// The RPC service: messages to calls of Containers, and back; exits to events.
/// Borrows: the containers, the sockets, the clock and the environment. `stop` must have been
/// awaited before the destructor. Thread: the loop's only.
class ContainerService : public agent::v2::AgentService {
  public:
    ContainerService(
        const asio::any_io_executor& executor,
        Containers& containers,
        HostSockets& sockets,
        Watches& watches,
        Pod& pod,
        Clock& clock,
        Environment& environment,
        Logger logger
    );

    /// Watches processes no longer. After it nothing may be called.
    Awaitable<> stop();

    Awaitable<agent::v2::ConfigureResponse>
    configure(ttrpc::CallContext& context, const agent::v2::ConfigureRequest& request) override;
    Awaitable<agent::v2::Empty> configure_pod(
        ttrpc::CallContext& context, const agent::v2::ConfigurePodRequest& request
    ) override;
    Awaitable<agent::v2::CreateContainerResponse> create_container(
        ttrpc::CallContext& context, const agent::v2::CreateContainerRequest& request
    ) override;
    Awaitable<agent::v2::Empty> start_container(
        ttrpc::CallContext& context, const agent::v2::StartContainerRequest& request
    ) override;
    Awaitable<agent::v2::ExecResponse>
    exec(ttrpc::CallContext& context, const agent::v2::ExecRequest& request) override;
    Awaitable<> events(
        ttrpc::CallContext& context,
        const agent::v2::EventsRequest& request,
        ttrpc::ReplyWriter<agent::v2::Event>& events
    ) override;
    Awaitable<agent::v2::Empty> signal_process(
        ttrpc::CallContext& context, const agent::v2::SignalProcessRequest& request
    ) override;
    Awaitable<agent::v2::Empty> resize_console(
        ttrpc::CallContext& context, const agent::v2::ResizeConsoleRequest& request
    ) override;
    Awaitable<agent::v2::ListProcessesResponse> list_processes(
        ttrpc::CallContext& context, const agent::v2::ListProcessesRequest& request
    ) override;
    Awaitable<agent::v2::Empty>
    freeze(ttrpc::CallContext& context, const agent::v2::FreezeRequest& request) override;
    Awaitable<agent::v2::Empty>
    look_again(ttrpc::CallContext& context, const agent::v2::LookAgainRequest& request) override;
    Awaitable<agent::v2::Empty>
    replay(ttrpc::CallContext& context, const agent::v2::ReplayRequest& request) override;
    Awaitable<agent::v2::UpdateContainerResponse> update_container(
        ttrpc::CallContext& context, const agent::v2::UpdateContainerRequest& request
    ) override;
    Awaitable<agent::v2::StatsResponse>
    stats(ttrpc::CallContext& context, const agent::v2::StatsRequest& request) override;
    Awaitable<agent::v2::Empty>
    delete_process(ttrpc::CallContext& context, const agent::v2::ProcessRef& request) override;
    Awaitable<agent::v2::SetNetworkResponse>
    set_network(ttrpc::CallContext& context, const agent::v2::SetNetworkRequest& request) override;
    Awaitable<agent::v2::SetClockResponse>
    set_clock(ttrpc::CallContext& context, const agent::v2::SetClockRequest& request) override;

    /// An event for the host. Called by the containers.
    void report_out_of_memory(const std::string& container_id);

  private:
    void append(agent::v2::Event event);
    Awaitable<> watch_listeners();
    Awaitable<> watch_init(std::string container_id, std::uint64_t number);
    Awaitable<> watch_exec(ProcessName name, std::uint64_t number);
    void append_exit(std::uint64_t number, unsigned status);

    Containers& containers_;
    HostSockets& sockets_;
    Watches& watched_volumes_;
    Pod& pod_;
    Clock& clock_;
    Environment& environment_;
    Logger logger_;
    EventLog log_;
    agent::v2::Event::Listening listening_;
    std::shared_ptr<EventSubscription> subscription_; ///< the last one, which may be over
    TaskGroup watches_;
};

} // namespace cppvm::guest
