#include "tests/e2e/hostile/processes.hpp"

#include "common/wire/stream_frame.hpp"
#include "tests/e2e/hostile/socket.hpp"

#include <utility>

namespace cppvm::hostile {

void Processes::park(std::uint64_t stream, UniqueFd connection) {
    const std::lock_guard lock(mutex_);
    parked_.insert_or_assign(stream, std::move(connection));
}

Processes::Handle Processes::add(
    const std::string& container,
    const std::string& exec,
    std::uint64_t number,
    Behaviour behaviour,
    std::uint64_t output_stream
) {
    const std::lock_guard lock(mutex_);
    auto process = std::make_shared<Process>();
    process->number = number;
    process->behaviour = std::move(behaviour);
    if (const auto found = parked_.find(output_stream); found != parked_.end()) {
        process->output = std::move(found->second);
    }
    processes_[{container, exec}] = process;
    return process;
}

Processes::Handle Processes::find(const std::string& container, const std::string& exec) {
    const std::lock_guard lock(mutex_);
    const auto found = processes_.find({container, exec});
    return found == processes_.end() ? nullptr : found->second;
}

void Processes::end(const Handle& process, unsigned status) {
    const bool first = [&] {
        const std::lock_guard lock(mutex_);
        const bool ends = !process->status;
        process->status = status;
        changed_.notify_all();
        return ends;
    }();
    if (first && !process->behaviour.is("exit", "silent")) {
        tell(process, status);
    }
    if (first && process->behaviour.is("exit", "twice")) {
        tell(process, 1);
    }
}

void Processes::wait(const Handle& process) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return process->status.has_value(); });
}

void Processes::tell(const Handle& process, unsigned status) {
    const std::lock_guard lock(mutex_);
    told_.push_back({process->number, status});
    changed_.notify_all();
}

ToldExit Processes::told_after(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return told_.size() > count; });
    return told_[count];
}

void write_output(Processes& processes, const Processes::Handle& process) {
    const int to = process->output.get();
    const std::string how = process->behaviour.get("stdout");
    if (how == "drip") {
        while (write_all(to, big_endian(1) + "x")) {
            sleep_ms(900);
        }
    } else if (how == "flood") {
        const std::string payload(wire::max_frame_payload, 'x');
        while (write_all(to, big_endian(wire::max_frame_payload) + payload)) {
        }
    } else if (how == "long") {
        write_all(to, big_endian(0xffffffff) + std::string(1000, 'x'));
    }
    processes.wait(process);
    if (how == "open") {
        sleep_forever();
    }
    write_all(to, big_endian(0));
    for (char byte = 0; read_all(to, &byte, 1);) { // until the host closes
    }
}

} // namespace cppvm::hostile
