// What is asked about the processes of a container, and their consoles.

#include "common/async/timeout.hpp"
#include "common/base/error.hpp"
#include "host/sandbox/task.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace cppvm::sandbox {

namespace {

// A guest could list any number.
constexpr std::size_t max_other_processes = 4096;
// Above every pid that a host can have (PID_MAX_LIMIT in the kernel's linux/threads.h; a guest's
// are below it, too), so that nobody takes a guest's process for one of the host's.
constexpr std::int32_t first_guest_pid = 4 * 1024 * 1024;

} // namespace

Task::ProcessHandle Task::find(const std::string& exec_id) const {
    if (exec_id.empty()) {
        return init_;
    }
    const auto found = execs_.find(exec_id);
    if (found == execs_.end()) {
        throw Error(
            Code::not_found, "exec " + exec_id + " of container " + spec_.id + ": not found"
        );
    }
    return found->second;
}

bool Task::has_stand_in(pid_t pid) const noexcept {
    const auto stands_for = [pid](const ProcessHandle& process) {
        return process->stand_in && process->stand_in->pid() == pid;
    };
    return stands_for(init_) ||
           std::ranges::any_of(execs_, [&](const auto& entry) { return stands_for(entry.second); });
}

ProcessStatus Task::status(const std::string& exec_id) const {
    return find(exec_id)->status();
}

std::vector<ProcessStatus> Task::statuses() const {
    std::vector<ProcessStatus> all = {init_->status()};
    for (const auto& [id, process] : execs_) {
        all.push_back(process->status());
    }
    return all;
}

Awaitable<> Task::resize_console(std::string exec_id, std::uint32_t width, std::uint32_t height) {
    const ProcessHandle process = find(exec_id);
    if (!process->stdio.terminal || process->state.exit()) {
        co_return;
    }
    agent::v2::ResizeConsoleRequest request;
    *request.mutable_process() = process->reference();
    request.set_width(width);
    request.set_height(height);
    const AgentHandle agent = co_await environment_.agent();
    co_await agent->call(
        &agent::v2::AgentClient::resize_console,
        std::move(request),
        deadline_in(environment_.timeouts.signal),
        agent::Repeat::yes
    );
}

void Task::close_stdin(const std::string& exec_id) {
    const ProcessHandle process = find(exec_id);
    if (process->io) {
        process->io->close_stdin();
    }
}

Awaitable<std::vector<ProcessEntry>> Task::processes() {
    if (init_->state.exit()) {
        co_return std::vector<ProcessEntry>{{init_->pid, ""}};
    }
    agent::v2::ListProcessesResponse listed;
    try {
        agent::v2::ListProcessesRequest request;
        request.set_container_id(spec_.id);
        const AgentHandle agent = co_await environment_.agent();
        listed = co_await agent->call(
            &agent::v2::AgentClient::list_processes,
            std::move(request),
            deadline_in(environment_.timeouts.list),
            agent::Repeat::yes
        );
    } catch (const Error& error) {
        logger_.warn("Guest processes not listed", {{"error", error.message()}});
    }
    co_return to_entries(listed);
}

// The guest may list anything: each exec and each pid counts once.
std::vector<ProcessEntry> Task::to_entries(const agent::v2::ListProcessesResponse& listed) const {
    std::vector<ProcessEntry> entries = {{init_->pid, ""}};
    std::set<std::string> execs;
    std::set<std::int32_t> others;
    for (const auto& process : listed.processes()) {
        if (process.is_init() || process.pid() <= 0 || process.pid() > first_guest_pid) {
            continue;
        }
        if (!process.exec_id().empty()) {
            const auto exec = execs_.find(process.exec_id());
            if (exec != execs_.end() && execs.insert(process.exec_id()).second) {
                entries.push_back({exec->second->pid, process.exec_id()});
            }
            continue;
        }
        if (others.size() == max_other_processes) {
            logger_.warn("Too many guest processes to list", {{"limit", max_other_processes}});
            break;
        }
        if (others.insert(process.pid()).second) {
            entries.push_back({first_guest_pid + process.pid(), ""});
        }
    }
    return entries;
}

} // namespace cppvm::sandbox
