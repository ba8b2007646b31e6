#include "host/sandbox/process.hpp"

#include <utility>

namespace cppvm::sandbox {

Process::Process(
    const asio::any_io_executor& executor,
    std::string container,
    std::string exec,
    io::StdioSpec spec
)
    : container_id(std::move(container)), exec_id(std::move(exec)), stdio(std::move(spec)),
      state(executor, is_init() ? ProcessState::Kind::init : ProcessState::Kind::exec, name()),
      ended(executor), deleted(executor) {}

std::string Process::name() const {
    return is_init() ? "container " + container_id
                     : "exec " + exec_id + " of container " + container_id;
}

ProcessStatus Process::status() const {
    ProcessStatus status;
    status.container_id = container_id;
    status.exec_id = exec_id;
    status.phase = state.exit()                        ? ProcessStatus::Phase::stopped
                   : state.is<ProcessState::Running>() ? ProcessStatus::Phase::running
                   : state.is<ProcessState::Paused>()  ? ProcessStatus::Phase::paused
                                                       : ProcessStatus::Phase::created;
    status.pid = pid;
    status.stdio = stdio;
    status.exit = state.exit();
    return status;
}

agent::v2::ProcessRef Process::reference() const {
    agent::v2::ProcessRef reference;
    reference.set_container_id(container_id);
    reference.set_exec_id(exec_id);
    return reference;
}

void Process::end_stand_in() noexcept {
    if (const auto last = std::exchange(stand_in, nullptr)) {
        last->end();
    }
}

} // namespace cppvm::sandbox
