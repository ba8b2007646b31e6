#include "host/api/control_service.hpp"

#include "common/os/process_usage.hpp"

#include <unistd.h>

namespace cppvm::api {

namespace {

using control::v1::ExplainResponse;
using State = sandbox::SandboxReport::State;

ExplainResponse::State to_message(State state) noexcept {
    switch (state) {
    case State::booting:
        return ExplainResponse::BOOTING;
    case State::running:
        return ExplainResponse::RUNNING;
    case State::ended:
        return ExplainResponse::ENDED;
    case State::failed:
        break;
    }
    return ExplainResponse::FAILED;
}

const char* name_of(sandbox::ProcessStatus::Phase phase) noexcept {
    using Phase = sandbox::ProcessStatus::Phase;
    switch (phase) {
    case Phase::created:
        return "created";
    case Phase::running:
        return "running";
    case Phase::paused:
        return "paused";
    case Phase::stopped:
        break;
    }
    return "stopped";
}

void add_process(ExplainResponse& response, pid_t pid) {
    if (const auto usage = read_process_usage(pid)) {
        auto* const process = response.add_processes();
        process->set_pid(usage->pid);
        process->set_name(usage->name);
        process->set_memory_bytes(static_cast<std::int64_t>(usage->memory_bytes));
        process->set_cpu_us(usage->cpu.count());
    }
}

void add_task(ExplainResponse& response, const std::vector<sandbox::ProcessStatus>& processes) {
    auto* const task = response.add_tasks();
    task->set_container_id(processes.front().container_id);
    for (const sandbox::ProcessStatus& status : processes) {
        auto* const process = task->add_processes();
        process->set_exec_id(status.exec_id);
        process->set_state(name_of(status.phase));
        process->set_pid(status.pid);
        process->set_exit_status(status.exit ? status.exit->status : 0);
    }
}

} // namespace

Awaitable<ExplainResponse>
ControlService::explain(ttrpc::CallContext&, const control::v1::ExplainRequest&) {
    const sandbox::SandboxReport report = sandbox_.report();
    ExplainResponse response;
    response.set_state(to_message(report.state));
    response.set_reason(report.reason);
    for (const sandbox::BootPhase& phase : report.boot) {
        auto* const entry = response.add_boot();
        entry->set_name(phase.name);
        entry->set_ended_us(phase.ended.count());
    }
    add_process(response, ::getpid());
    if (report.machine) {
        add_process(response, *report.machine);
    }
    for (const pid_t pid : descendants(::getpid())) {
        add_process(response, pid);
    }
    for (const auto& task : report.tasks) {
        add_task(response, task);
    }
    response.set_console_tail(report.console_tail);
    co_return response;
}

} // namespace cppvm::api
