#include "common/os/process_id.hpp"

#include "common/base/error.hpp"
#include "common/base/number.hpp"
#include "common/base/take_part.hpp"
#include "common/os/file.hpp"
#include "common/os/poll.hpp"
#include "common/os/process_stat.hpp"

#include <csignal>
#include <sys/syscall.h>

namespace cppvm {

namespace {

constexpr int start_time_field = 22; // of /proc/PID/stat, proc(5)

} // namespace

std::optional<ProcessId> find_process(pid_t pid) {
    std::string stat;
    try {
        stat = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
    } catch (const Error& error) {
        if (error.cause().value() == ENOENT || error.cause().value() == ESRCH) {
            return std::nullopt;
        }
        throw;
    }
    const auto start_time = stat_number(stat, start_time_field);
    if (!start_time) {
        throw Error(Code::internal, "parse /proc/" + std::to_string(pid) + "/stat: no start time");
    }
    return ProcessId{pid, *start_time};
}

UniqueFd open_pidfd(const ProcessId& process) {
    UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
    if (!fd) {
        if (errno == ESRCH || errno == EINVAL) {
            return {};
        }
        throw_errno("pidfd_open", std::to_string(process.pid));
    }
    // The descriptor is bound now; if the start time still matches, it is bound to the right one.
    if (find_process(process.pid) != process) {
        return {};
    }
    return fd;
}

bool signal_pidfd(int pidfd, int signal) {
    if (::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0) {
        return true;
    }
    if (errno == ESRCH) {
        return false;
    }
    throw_errno("send signal " + std::to_string(signal) + " by", "pidfd");
}

bool wait_pidfd(int pidfd, int timeout_ms) {
    return wait_readable(pidfd, "pidfd", deadline_in(std::chrono::milliseconds(timeout_ms)));
}

bool kill_process(const ProcessId& process) {
    constexpr int end_timeout_ms = 1000;
    const UniqueFd pidfd = open_pidfd(process);
    return !pidfd || !signal_pidfd(pidfd.get(), SIGKILL) || wait_pidfd(pidfd.get(), end_timeout_ms);
}

std::string to_text(const ProcessId& process) {
    return std::to_string(process.pid) + " " + std::to_string(process.start_time) + "\n";
}

std::optional<ProcessId> parse_process_id(std::string_view text) noexcept {
    const auto pid = to_number<pid_t>(take_part(text, ' '));
    const auto start_time = to_number<std::uint64_t>(take_part(text, '\n'));
    if (!pid || *pid <= 0 || !start_time) {
        return std::nullopt;
    }
    return ProcessId{*pid, *start_time};
}

} // namespace cppvm
