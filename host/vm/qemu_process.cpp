#include "host/vm/qemu_process.hpp"

#include "common/base/error.hpp"
#include "common/base/number.hpp"
#include "common/os/file.hpp"

namespace cppvm::vm {

namespace {

constexpr std::size_t max_command_line_bytes = std::size_t{2} * 1024 * 1024;

std::string read_command_line(pid_t pid) {
    try {
        return read_file("/proc/" + std::to_string(pid) + "/cmdline", max_command_line_bytes);
    } catch (const Error&) {
        return {}; // ended meanwhile
    }
}

std::string_view take_argument(std::string_view& rest) noexcept {
    const std::size_t end = std::min(rest.find('\0'), rest.size());
    const std::string_view argument = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return argument;
}

} // namespace

bool names_qemu_of(std::string_view command_line, std::string_view uuid) noexcept {
    std::string_view before;
    while (!command_line.empty()) {
        const std::string_view argument = take_argument(command_line);
        if (before == "-uuid" && argument == uuid) {
            return true;
        }
        before = argument;
    }
    return false;
}

bool names_virtiofsd_of(
    std::string_view command_line, const std::filesystem::path& share_dir
) noexcept {
    const std::string_view program = take_argument(command_line);
    if (!program.ends_with("virtiofsd")) {
        return false;
    }
    while (!command_line.empty()) {
        if (take_argument(command_line) == share_dir.native()) {
            return true;
        }
    }
    return false;
}

bool is_qemu_of(const ProcessId& process, std::string_view uuid) {
    // The start time is looked at after the command line, so that both are of the same process.
    return names_qemu_of(read_command_line(process.pid), uuid) &&
           find_process(process.pid) == process;
}

std::vector<ProcessId>
find_machine_processes(std::string_view uuid, const std::filesystem::path& share_dir) {
    std::vector<ProcessId> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const auto pid = to_number<pid_t>(entry.path().filename().native());
        if (!pid) {
            continue;
        }
        const auto before = find_process(*pid);
        const std::string command_line = read_command_line(*pid);
        const bool wanted =
            names_qemu_of(command_line, uuid) || names_virtiofsd_of(command_line, share_dir);
        if (before && wanted && find_process(*pid) == before) {
            found.push_back(*before);
        }
    }
    return found;
}

void kill_machine_processes(
    std::string_view uuid, const std::filesystem::path& share_dir, const Logger& logger
) noexcept {
    try {
        for (const ProcessId& process : find_machine_processes(uuid, share_dir)) {
            if (!kill_process(process)) {
                logger.warn("QEMU did not exit after SIGKILL", {{"pid", process.pid}});
            }
        }
    } catch (const std::exception& error) {
        logger.warn("Processes of the machine were not all found", {{"error", error.what()}});
    }
}

} // namespace cppvm::vm
