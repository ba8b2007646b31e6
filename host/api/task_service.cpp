#include "host/api/task_service.hpp"

#include "common/async/timeout.hpp"
#include "common/base/build_id.hpp"
#include "common/base/error.hpp"
#include "host/api/metrics.hpp"
#include "host/api/timestamp.hpp"
#include "proto/containerd/runc.pb.h"

#include <unistd.h>
#include <utility>

namespace cppvm::api {

namespace messages = ::containerd::task::v3;
using google::protobuf::Empty;
using sandbox::ProcessStatus;

namespace {

constexpr const char* process_type_url =
    "types.containerd.io/opencontainers/runtime-spec/1/Process";
constexpr const char* resources_type_url =
    "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";
constexpr std::size_t max_mounts = 1024;

std::uint32_t to_wire(pid_t pid) {
    return static_cast<std::uint32_t>(pid);
}

// An exec id becomes a part of names only, never of a path, but containerd's rule holds for it too.
void check_exec_id(const std::string& exec_id) {
    if (!exec_id.empty()) {
        check_identifier("exec id", exec_id);
    }
}

sandbox::TaskSpec to_spec(const messages::CreateTaskRequest& request) {
    if (!request.checkpoint().empty()) {
        throw Error(
            Code::unimplemented,
            "create task " + request.id() + ": restoring a checkpoint is not supported"
        );
    }
    if (request.bundle().empty() || request.bundle().front() != '/') {
        throw Error(
            Code::invalid_argument,
            "create task " + request.id() + ": bundle '" + request.bundle() +
                "' is not an absolute path"
        );
    }
    if (static_cast<std::size_t>(request.rootfs_size()) > max_mounts) {
        throw Error(
            Code::invalid_argument, "create task " + request.id() + ": too many rootfs mounts"
        );
    }
    sandbox::TaskSpec spec;
    spec.id = request.id();
    spec.bundle = request.bundle();
    for (const auto& mount : request.rootfs()) {
        spec.rootfs.push_back(
            {mount.type(),
             mount.source(),
             mount.target(),
             {mount.options().begin(), mount.options().end()}}
        );
    }
    spec.stdio = {request.stdin(), request.stdout(), request.stderr(), request.terminal()};
    return spec;
}

messages::Status to_message(ProcessStatus::Phase phase) {
    switch (phase) {
    case ProcessStatus::Phase::created:
        return messages::CREATED;
    case ProcessStatus::Phase::running:
        return messages::RUNNING;
    case ProcessStatus::Phase::paused:
        return messages::PAUSED;
    case ProcessStatus::Phase::stopped:
        break;
    }
    return messages::STOPPED;
}

} // namespace

TaskService::TaskService(
    const asio::any_io_executor& executor,
    sandbox::Sandbox& sandbox,
    std::function<void()> on_shutting_down
)
    : sandbox_(sandbox), on_shutting_down_(std::move(on_shutting_down)), shutdown_(executor) {}

Awaitable<> TaskService::wait_shutdown() {
    co_await shutdown_.wait();
}

Awaitable<messages::CreateTaskResponse>
TaskService::create(Context&, const messages::CreateTaskRequest& request) {
    messages::CreateTaskResponse response;
    auto spec = to_spec(request);
    // A new task after a Shutdown that came while others ran: the shim is wanted again.
    shutdown_asked_ = false;
    const pid_t pid =
        co_await shielded(sandbox_.create(std::move(spec)), no_deadline, "create task");
    response.set_pid(to_wire(pid));
    co_return response;
}

Awaitable<messages::StartResponse>
TaskService::start(Context&, const messages::StartRequest& request) {
    messages::StartResponse response;
    const auto task = sandbox_.task(request.id());
    const pid_t pid = co_await shielded(task->start(request.exec_id()), no_deadline, "start");
    response.set_pid(to_wire(pid));
    co_return response;
}

Awaitable<messages::DeleteResponse>
TaskService::delete_(Context& context, const messages::DeleteRequest& request) {
    messages::DeleteResponse response;
    const ProcessStatus status =
        co_await shielded(sandbox_.remove(request.id(), request.exec_id()), no_deadline, "delete");
    response.set_pid(to_wire(status.pid));
    if (status.exit) {
        response.set_exit_status(status.exit->status);
        set_timestamp(*response.mutable_exited_at(), status.exit->at);
    }
    end_after_reply(context);
    co_return response;
}

Awaitable<Empty> TaskService::exec(Context&, const messages::ExecProcessRequest& request) {
    const auto task = sandbox_.task(request.id());
    if (request.exec_id().empty()) {
        throw Error(
            Code::invalid_argument, "exec in container " + request.id() + ": no exec id given"
        );
    }
    check_exec_id(request.exec_id());
    if (request.spec().type_url() != process_type_url) {
        throw Error(
            Code::invalid_argument,
            "exec " + request.exec_id() + " in container " + request.id() + ": spec of type '" +
                request.spec().type_url().substr(0, 128) + "' instead of " + process_type_url
        );
    }
    task->add_exec(
        request.exec_id(),
        {request.stdin(), request.stdout(), request.stderr(), request.terminal()},
        request.spec().value()
    );
    co_return Empty();
}

Awaitable<messages::StateResponse>
TaskService::state(Context&, const messages::StateRequest& request) {
    messages::StateResponse response;
    const auto task = sandbox_.task(request.id());
    const ProcessStatus status = task->status(request.exec_id());
    response.set_id(status.container_id);
    response.set_bundle(task->spec().bundle.native());
    response.set_pid(to_wire(status.pid));
    response.set_status(to_message(status.phase));
    response.set_stdin(status.stdio.stdin_uri);
    response.set_stdout(status.stdio.stdout_uri);
    response.set_stderr(status.stdio.stderr_uri);
    response.set_terminal(status.stdio.terminal);
    response.set_exec_id(status.exec_id);
    if (status.exit) {
        response.set_exit_status(status.exit->status);
        set_timestamp(*response.mutable_exited_at(), status.exit->at);
    }
    co_return response;
}

Awaitable<messages::WaitResponse>
TaskService::wait(Context&, const messages::WaitRequest& request) {
    messages::WaitResponse response;
    const auto task = sandbox_.task(request.id());
    const sandbox::Exit exit = co_await task->wait(request.exec_id());
    response.set_exit_status(exit.status);
    set_timestamp(*response.mutable_exited_at(), exit.at);
    co_return response;
}

Awaitable<Empty> TaskService::kill(Context&, const messages::KillRequest& request) {
    const auto task = sandbox_.task(request.id());
    co_await shielded(
        task->kill(request.exec_id(), request.signal(), request.all()), no_deadline, "kill"
    );
    co_return Empty();
}

Awaitable<Empty> TaskService::pause(Context&, const messages::PauseRequest& request) {
    co_await shielded(sandbox_.task(request.id())->pause(), no_deadline, "pause");
    co_return Empty();
}

Awaitable<Empty> TaskService::resume(Context&, const messages::ResumeRequest& request) {
    co_await shielded(sandbox_.task(request.id())->resume(), no_deadline, "resume");
    co_return Empty();
}

Awaitable<Empty> TaskService::update(Context&, const messages::UpdateTaskRequest& request) {
    const auto task = sandbox_.task(request.id());
    if (request.resources().type_url() != resources_type_url) {
        throw Error(
            Code::invalid_argument,
            "update container " + request.id() + ": resources of type '" +
                request.resources().type_url().substr(0, 128) + "' instead of " + resources_type_url
        );
    }
    co_await shielded(task->update(request.resources().value()), no_deadline, "update");
    co_return Empty();
}

Awaitable<messages::StatsResponse>
TaskService::stats(Context&, const messages::StatsRequest& request) {
    const auto task = sandbox_.task(request.id());
    messages::StatsResponse response;
    *response.mutable_stats() = to_metrics(co_await task->stats(), cgroup_version_of_host());
    co_return response;
}

Awaitable<messages::PidsResponse>
TaskService::pids(Context&, const messages::PidsRequest& request) {
    messages::PidsResponse response;
    const auto task = sandbox_.task(request.id());
    const auto entries = co_await task->processes();
    for (const auto& entry : entries) {
        auto* process = response.add_processes();
        process->set_pid(to_wire(entry.pid));
        if (!entry.exec_id.empty()) {
            ::containerd::runc::v1::ProcessDetails details;
            details.set_exec_id(entry.exec_id);
            process->mutable_info()->set_type_url(details.GetTypeName());
            process->mutable_info()->set_value(details.SerializeAsString());
        }
    }
    co_return response;
}

Awaitable<Empty> TaskService::resize_pty(Context&, const messages::ResizePtyRequest& request) {
    const auto task = sandbox_.task(request.id());
    co_await task->resize_console(request.exec_id(), request.width(), request.height());
    co_return Empty();
}

Awaitable<Empty> TaskService::close_io(Context&, const messages::CloseIORequest& request) {
    const auto task = sandbox_.task(request.id());
    if (request.stdin()) {
        task->close_stdin(request.exec_id());
    }
    co_return Empty();
}

// containerd connects before Create and with ids that we do not know: never an error.
Awaitable<messages::ConnectResponse>
TaskService::connect(Context&, const messages::ConnectRequest& request) {
    messages::ConnectResponse response;
    response.set_shim_pid(to_wire(::getpid()));
    response.set_version(std::string(version()));
    if (const auto task = sandbox_.find_task(request.id())) {
        response.set_task_pid(to_wire(task->status("").pid));
    }
    co_return response;
}

Awaitable<Empty> TaskService::shutdown(Context& context, const messages::ShutdownRequest&) {
    shutdown_asked_ = true;
    end_after_reply(context);
    co_return Empty();
}

// A pod's sandbox container can be deleted before its other containers; then the Shutdown that came
// with it counts when the last one goes.
void TaskService::end_after_reply(Context& context) {
    if (shutdown_asked_ && sandbox_.empty() && sandbox_.ends_with_tasks()) {
        on_shutting_down_();
        context.after_reply = [this] { shutdown_.set(); };
    }
}

} // namespace cppvm::api
