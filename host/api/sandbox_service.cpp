#include "host/api/sandbox_service.hpp"

#include "common/async/timeout.hpp"
#include "common/base/build_id.hpp"
#include "common/base/error.hpp"
#include "host/api/metrics.hpp"
#include "host/api/timestamp.hpp"

#include <nlohmann/json.hpp>

#include <unistd.h>

namespace cppvm::api {

namespace sandbox_v1 = ::containerd::runtime::sandbox::v1;
using sandbox::PodStatus;

namespace {

// As CRI names the states (PodSandboxState).
constexpr const char* ready = "SANDBOX_READY";
constexpr const char* not_ready = "SANDBOX_NOTREADY";

// In Go's words, as containerd compares them.
#if defined(__x86_64__)
constexpr const char* architecture = "amd64";
#elif defined(__aarch64__)
constexpr const char* architecture = "arm64";
#else
#error "name this architecture as Go does"
#endif

// By the names of cgroup v2, whatever the host has, as to_metrics takes them.
agent::v2::StatsResponse to_stats(const cgroup::Usage& usage) {
    agent::v2::StatsResponse stats;
    auto& values = *stats.mutable_values();
    const auto set = [&](const char* name, const std::optional<std::uint64_t>& value) {
        if (value) {
            values[name] = *value;
        }
    };
    set("memory.current", usage.memory_bytes);
    set("cpu.stat.usage_usec", usage.cpu_microseconds);
    set("pids.current", usage.tasks);
    return stats;
}

// What `crictl inspectp` prints.
std::string to_info(const PodStatus& status) {
    const nlohmann::ordered_json info{
        {"runtime", "cppvm"},
        {"version", std::string(version())},
        {"daemon", ::getpid()},
        {"pid", status.pid},
    };
    return info.dump();
}

} // namespace

SandboxService::SandboxService(const asio::any_io_executor& executor, sandbox::Pod& pod)
    : pod_(pod), shutdown_(executor) {}

void SandboxService::check_id(const std::string& id) const {
    if (id != pod_.id()) {
        throw Error(Code::not_found, "sandbox " + id.substr(0, 128) + ": not found");
    }
}

Awaitable<sandbox_v1::CreateSandboxResponse>
SandboxService::create_sandbox(Context&, const sandbox_v1::CreateSandboxRequest& request) {
    check_id(request.sandbox_id());
    try {
        pod_.create(pod::read_create_sandbox(request, pod::read_host_names()));
    } catch (const Error& error) {
        if (error.code() == Code::already_exists) {
            throw;
        }
        rethrow_with_context("create sandbox " + request.sandbox_id());
    }
    co_return sandbox_v1::CreateSandboxResponse();
}

Awaitable<sandbox_v1::StartSandboxResponse>
SandboxService::start_sandbox(Context&, const sandbox_v1::StartSandboxRequest& request) {
    check_id(request.sandbox_id());
    const PodStatus status = co_await shielded(pod_.start(), no_deadline, "start sandbox");
    sandbox_v1::StartSandboxResponse response;
    response.set_pid(static_cast<std::uint32_t>(status.pid));
    if (status.created_at) {
        set_timestamp(*response.mutable_created_at(), *status.created_at);
    }
    co_return response;
}

Awaitable<sandbox_v1::PlatformResponse>
SandboxService::platform(Context&, const sandbox_v1::PlatformRequest& request) {
    check_id(request.sandbox_id());
    sandbox_v1::PlatformResponse response;
    response.mutable_platform()->set_os("linux");
    response.mutable_platform()->set_architecture(architecture);
    co_return response;
}

// The machine is taken away at once: containerd has stopped the containers by then, with their own
// grace, so that `timeout_secs` leaves nothing to wait for.
Awaitable<sandbox_v1::StopSandboxResponse>
SandboxService::stop_sandbox(Context&, const sandbox_v1::StopSandboxRequest& request) {
    check_id(request.sandbox_id());
    co_await shielded(pod_.stop(), no_deadline, "stop sandbox");
    co_return sandbox_v1::StopSandboxResponse();
}

Awaitable<sandbox_v1::WaitSandboxResponse>
SandboxService::wait_sandbox(Context&, const sandbox_v1::WaitSandboxRequest& request) {
    check_id(request.sandbox_id());
    const sandbox::Exit exit = co_await pod_.wait();
    sandbox_v1::WaitSandboxResponse response;
    response.set_exit_status(exit.status);
    set_timestamp(*response.mutable_exited_at(), exit.at);
    co_return response;
}

Awaitable<sandbox_v1::SandboxStatusResponse>
SandboxService::sandbox_status(Context&, const sandbox_v1::SandboxStatusRequest& request) {
    check_id(request.sandbox_id());
    const PodStatus status = pod_.status();
    sandbox_v1::SandboxStatusResponse response;
    response.set_sandbox_id(pod_.id());
    response.set_pid(static_cast<std::uint32_t>(status.pid));
    response.set_state(status.is_ready ? ready : not_ready);
    if (status.created_at) {
        set_timestamp(*response.mutable_created_at(), *status.created_at);
    }
    if (status.exit) {
        set_timestamp(*response.mutable_exited_at(), status.exit->at);
    }
    if (request.verbose()) {
        (*response.mutable_info())["info"] = to_info(status);
    }
    co_return response;
}

Awaitable<sandbox_v1::PingResponse>
SandboxService::ping_sandbox(Context&, const sandbox_v1::PingRequest& request) {
    check_id(request.sandbox_id());
    co_return sandbox_v1::PingResponse();
}

// In whatever state: what is left is undone after the answer.
Awaitable<sandbox_v1::ShutdownSandboxResponse> SandboxService::shutdown_sandbox(
    Context& context, const sandbox_v1::ShutdownSandboxRequest& request
) {
    check_id(request.sandbox_id());
    context.after_reply = [this] { shutdown_.set(); };
    co_return sandbox_v1::ShutdownSandboxResponse();
}

Awaitable<sandbox_v1::SandboxMetricsResponse>
SandboxService::sandbox_metrics(Context&, const sandbox_v1::SandboxMetricsRequest& request) {
    check_id(request.sandbox_id());
    sandbox_v1::SandboxMetricsResponse response;
    auto& metrics = *response.mutable_metrics();
    *metrics.mutable_data() = to_metrics(to_stats(pod_.usage()), cgroup_version_of_host());
    metrics.set_id(pod_.id());
    set_timestamp(*metrics.mutable_timestamp(), std::chrono::system_clock::now());
    co_return response;
}

} // namespace cppvm::api
