#pragma once

#include "common/async/event.hpp"
#include "guest-agent/container/containers.hpp"
#include "guest-agent/service/clock.hpp"
#include "proto/cppvm/agent.ttrpc.hpp"

namespace cppvm::guest {

/// The RPC service: messages to calls of Containers, and back.
/// Borrows: the containers and the clock. Thread: the loop's only.
class ContainerService : public agent::v1::AgentService {
  public:
    /// `power_off` is set once PowerOff has been answered.
    ContainerService(Containers& containers, Clock& clock, Event& power_off)
        : containers_(containers), clock_(clock), power_off_(power_off) {}

    Awaitable<agent::v1::CreateContainerResponse> create_container(
        ttrpc::CallContext& context, const agent::v1::CreateContainerRequest& request
    ) override;
    Awaitable<agent::v1::Empty> start_container(
        ttrpc::CallContext& context, const agent::v1::StartContainerRequest& request
    ) override;
    Awaitable<> run_exec(
        ttrpc::CallContext& context,
        const agent::v1::RunExecRequest& request,
        ttrpc::ReplyWriter<agent::v1::ExecEvent>& events
    ) override;
    Awaitable<agent::v1::WaitProcessResponse>
    wait_process(ttrpc::CallContext& context, const agent::v1::ProcessRef& request) override;
    Awaitable<agent::v1::Empty> signal_process(
        ttrpc::CallContext& context, const agent::v1::SignalProcessRequest& request
    ) override;
    Awaitable<agent::v1::Empty> resize_console(
        ttrpc::CallContext& context, const agent::v1::ResizeConsoleRequest& request
    ) override;
    Awaitable<agent::v1::ListProcessesResponse> list_processes(
        ttrpc::CallContext& context, const agent::v1::ListProcessesRequest& request
    ) override;
    Awaitable<agent::v1::Empty>
    delete_process(ttrpc::CallContext& context, const agent::v1::ProcessRef& request) override;
    Awaitable<agent::v1::SetClockResponse>
    set_clock(ttrpc::CallContext& context, const agent::v1::SetClockRequest& request) override;
    Awaitable<> watch_clock(
        ttrpc::CallContext& context,
        const agent::v1::Empty& request,
        ttrpc::ReplyWriter<agent::v1::Empty>& words
    ) override;
    Awaitable<agent::v1::Empty>
    ping(ttrpc::CallContext& context, const agent::v1::Empty& request) override;
    Awaitable<agent::v1::Empty>
    power_off(ttrpc::CallContext& context, const agent::v1::Empty& request) override;

  private:
    Containers& containers_;
    Clock& clock_;
    Event& power_off_;
};

} // namespace cppvm::guest
