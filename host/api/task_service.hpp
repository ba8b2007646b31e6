#pragma once

#include "host/sandbox/sandbox.hpp"
#include "proto/containerd/task.ttrpc.hpp"

#include <functional>

namespace cppvm::api {

/// containerd's Task API, versions 2 and 3 (the same messages): translates each RPC into calls on
/// the sandbox and its containers, and their results into messages. Decides nothing else.
///
/// RPCs that change something are shielded: a connection that goes away (containerd restarts) does
/// not stop them half way.
class TaskService : public ::containerd::task::v3::TaskService {
  public:
    static constexpr const char* v2_name = "containerd.task.v2.Task";

    /// Borrows the sandbox, which must outlive it. `on_shutting_down` is called before the
    /// answer after which wait_shutdown() returns, perhaps repeatedly, and must not throw.
    TaskService(
        const asio::any_io_executor& executor,
        sandbox::Sandbox& sandbox,
        std::function<void()> on_shutting_down
    );

    /// Until containerd has asked for the shim's end and no container is left.
    Awaitable<> wait_shutdown();

    using Context = ttrpc::CallContext;

    Awaitable<::containerd::task::v3::CreateTaskResponse>
    create(Context& context, const ::containerd::task::v3::CreateTaskRequest& request) override;
    Awaitable<::containerd::task::v3::StartResponse>
    start(Context& context, const ::containerd::task::v3::StartRequest& request) override;
    Awaitable<::containerd::task::v3::DeleteResponse>
    delete_(Context& context, const ::containerd::task::v3::DeleteRequest& request) override;
    Awaitable<::google::protobuf::Empty>
    exec(Context& context, const ::containerd::task::v3::ExecProcessRequest& request) override;
    Awaitable<::containerd::task::v3::StateResponse>
    state(Context& context, const ::containerd::task::v3::StateRequest& request) override;
    Awaitable<::containerd::task::v3::WaitResponse>
    wait(Context& context, const ::containerd::task::v3::WaitRequest& request) override;
    Awaitable<::google::protobuf::Empty>
    kill(Context& context, const ::containerd::task::v3::KillRequest& request) override;
    Awaitable<::containerd::task::v3::PidsResponse>
    pids(Context& context, const ::containerd::task::v3::PidsRequest& request) override;
    Awaitable<::google::protobuf::Empty>
    resize_pty(Context& context, const ::containerd::task::v3::ResizePtyRequest& request) override;
    Awaitable<::google::protobuf::Empty>
    close_io(Context& context, const ::containerd::task::v3::CloseIORequest& request) override;
    Awaitable<::containerd::task::v3::ConnectResponse>
    connect(Context& context, const ::containerd::task::v3::ConnectRequest& request) override;
    Awaitable<::google::protobuf::Empty>
    shutdown(Context& context, const ::containerd::task::v3::ShutdownRequest& request) override;
    Awaitable<::google::protobuf::Empty>
    pause(Context& context, const ::containerd::task::v3::PauseRequest& request) override;
    Awaitable<::google::protobuf::Empty>
    resume(Context& context, const ::containerd::task::v3::ResumeRequest& request) override;
    Awaitable<::google::protobuf::Empty>
    update(Context& context, const ::containerd::task::v3::UpdateTaskRequest& request) override;
    Awaitable<::containerd::task::v3::StatsResponse>
    stats(Context& context, const ::containerd::task::v3::StatsRequest& request) override;
    // Checkpoint is not overridden: Unimplemented.

  private:
    void end_after_reply(Context& context);

    sandbox::Sandbox& sandbox_;
    std::function<void()> on_shutting_down_;
    bool shutdown_asked_ = false;
    Event shutdown_;
};

} // namespace cppvm::api
