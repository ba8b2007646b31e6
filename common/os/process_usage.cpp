#include "common/os/process_usage.hpp"

#include "common/base/number.hpp"
#include "common/os/file.hpp"
#include "common/os/process_stat.hpp"

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <string_view>
#include <unistd.h>

namespace cppvm {

namespace {

constexpr std::size_t max_file_bytes = 65536;
constexpr std::size_t max_descendants = 4096;
constexpr int user_time_field = 14; // of /proc/PID/stat, proc(5)
constexpr int system_time_field = 15;

std::string proc_file(pid_t pid, std::string_view name) {
    return read_file("/proc/" + std::to_string(pid) + "/" + std::string(name), max_file_bytes);
}

std::uint64_t proportional_set_size(pid_t pid) noexcept {
    try {
        const std::string rollup = proc_file(pid, "smaps_rollup");
        const std::size_t digits = rollup.find_first_of("0123456789", rollup.find("\nPss:"));
        std::string_view kib = std::string_view(rollup).substr(std::min(digits, rollup.size()));
        return take_number<std::uint64_t>(kib).value_or(0) * 1024;
    } catch (const std::exception&) {
        return 0; // QEMU's, where an administrator has taken that right from root
    }
}

std::string printable(std::string name) {
    std::ranges::replace_if(name, [](char c) { return c < ' ' || c > '~'; }, '?');
    return name;
}

} // namespace

std::optional<ProcessUsage> read_process_usage(pid_t pid) noexcept {
    try {
        const std::string stat = proc_file(pid, "stat");
        const auto user_time = stat_number(stat, user_time_field);
        const auto system_time = stat_number(stat, system_time_field);
        const std::size_t open = stat.find('(');
        const std::size_t close = stat.rfind(')');
        if (open == std::string::npos || close == std::string::npos || close < open || !user_time ||
            !system_time) {
            return std::nullopt;
        }
        const std::uint64_t ticks = *user_time + *system_time;
        const auto hertz = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
        return ProcessUsage{
            .pid = pid,
            .name = printable(stat.substr(open + 1, close - open - 1)),
            .memory_bytes = proportional_set_size(pid),
            .cpu = std::chrono::microseconds(ticks * 1'000'000 / hertz),
        };
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

std::vector<pid_t> descendants(pid_t pid) noexcept {
    std::vector<pid_t> found;
    try {
        const auto add_children = [&found](pid_t parent) {
            const std::filesystem::path tasks = "/proc/" + std::to_string(parent) + "/task";
            std::error_code gone;
            for (std::filesystem::directory_iterator thread(tasks, gone), end;
                 !gone && thread != end;
                 thread.increment(gone)) {
                std::istringstream children(read_file(thread->path() / "children", max_file_bytes));
                for (pid_t child = 0; children >> child && found.size() < max_descendants;) {
                    found.push_back(child);
                }
            }
        };
        add_children(pid);
        for (std::size_t i = 0; i < found.size(); ++i) {
            try {
                add_children(found[i]);
            } catch (const std::exception&) {
                continue; // it has ended
            }
        }
    } catch (const std::exception&) {
        return found;
    }
    return found;
}

} // namespace cppvm
