#pragma once

#include "host/sandbox/pod.hpp"
#include "proto/containerd/sandbox.ttrpc.hpp"

namespace cppvm::api {

/// containerd's Sandbox API: translates each RPC into a call on the pod, and its result into a
/// message. Decides nothing else. As in the Task API, RPCs that change something are shielded.
///
/// Another id than the pod's is NotFound.
class SandboxService : public ::containerd::runtime::sandbox::v1::SandboxService {
  public:
    /// Borrows the pod, which must outlive it.
    SandboxService(const asio::any_io_executor& executor, sandbox::Pod& pod);

    /// Until ShutdownSandbox has been answered.
    Awaitable<> wait_shutdown() { return shutdown_.wait(); }

    using Context = ttrpc::CallContext;

    Awaitable<::containerd::runtime::sandbox::v1::CreateSandboxResponse> create_sandbox(
        Context& context, const ::containerd::runtime::sandbox::v1::CreateSandboxRequest& request
    ) override;
    Awaitable<::containerd::runtime::sandbox::v1::StartSandboxResponse> start_sandbox(
        Context& context, const ::containerd::runtime::sandbox::v1::StartSandboxRequest& request
    ) override;
    Awaitable<::containerd::runtime::sandbox::v1::PlatformResponse> platform(
        Context& context, const ::containerd::runtime::sandbox::v1::PlatformRequest& request
    ) override;
    Awaitable<::containerd::runtime::sandbox::v1::StopSandboxResponse> stop_sandbox(
        Context& context, const ::containerd::runtime::sandbox::v1::StopSandboxRequest& request
    ) override;
    Awaitable<::containerd::runtime::sandbox::v1::WaitSandboxResponse> wait_sandbox(
        Context& context, const ::containerd::runtime::sandbox::v1::WaitSandboxRequest& request
    ) override;
    Awaitable<::containerd::runtime::sandbox::v1::SandboxStatusResponse> sandbox_status(
        Context& context, const ::containerd::runtime::sandbox::v1::SandboxStatusRequest& request
    ) override;
    Awaitable<::containerd::runtime::sandbox::v1::PingResponse> ping_sandbox(
        Context& context, const ::containerd::runtime::sandbox::v1::PingRequest& request
    ) override;
    Awaitable<::containerd::runtime::sandbox::v1::ShutdownSandboxResponse> shutdown_sandbox(
        Context& context, const ::containerd::runtime::sandbox::v1::ShutdownSandboxRequest& request
    ) override;
    Awaitable<::containerd::runtime::sandbox::v1::SandboxMetricsResponse> sandbox_metrics(
        Context& context, const ::containerd::runtime::sandbox::v1::SandboxMetricsRequest& request
    ) override;

  private:
    void check_id(const std::string& id) const;

    sandbox::Pod& pod_;
    Event shutdown_;
};

} // namespace cppvm::api
