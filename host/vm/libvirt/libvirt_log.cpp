#include "host/vm/libvirt/libvirt_log.hpp"

#include "common/base/one_line.hpp"
#include "common/os/file.hpp"

#include <algorithm>
#include <filesystem>
#include <unistd.h>

namespace cppvm::vm {

namespace {

// Of libvirtd as root (https://libvirt.org/kbase/debuglogs.html#qemu-log).
constexpr const char* log_directory = "/var/log/libvirt/qemu";
constexpr std::size_t max_log_bytes = std::size_t{4} * 1024 * 1024;
constexpr std::size_t max_message_bytes = 600;

/// What libvirt gives QEMU last; QEMU's own lines come after it.
constexpr std::string_view end_of_command_line = "-msg timestamp=on\n";

bool is_of_qemu(std::string_view line) {
    // libvirt's: "2026-01-02 03:04:05.678+0000: shutting down, reason=crashed"; QEMU's have a "T"
    // and a "Z" in the time, or none at all.
    const bool of_libvirt = line.size() > 28 && line[10] == ' ' && line.substr(23, 6) == "+0000:";
    return !line.empty() && !of_libvirt && !line.starts_with("char device redirected");
}

} // namespace

std::string messages_of_qemu(std::string_view log) {
    const std::size_t end = log.rfind(end_of_command_line);
    if (end == std::string_view::npos) {
        return "";
    }
    log.remove_prefix(end + end_of_command_line.size());
    std::string messages;
    while (!log.empty()) {
        const std::string_view line = log.substr(0, log.find('\n'));
        log.remove_prefix(std::min(line.size() + 1, log.size()));
        if (is_of_qemu(line)) {
            messages.append(messages.empty() ? "" : "; ").append(line);
        }
    }
    if (messages.size() > max_message_bytes) {
        messages.erase(0, messages.size() - max_message_bytes);
    }
    return one_line(std::move(messages));
}

std::string read_messages_of_qemu(const std::string& name) noexcept {
    try {
        const auto path = std::filesystem::path(log_directory) / (name + ".log");
        return messages_of_qemu(read_file(path, max_log_bytes));
    } catch (const std::exception&) {
        return "";
    }
}

void remove_libvirt_log(const std::string& name) noexcept {
    try {
        // "<name>.log" and rotated ones.
        std::error_code error;
        for (const auto& entry : std::filesystem::directory_iterator(log_directory, error)) {
            if (entry.path().filename().native().starts_with(name + ".log")) {
                ::unlink(entry.path().c_str());
            }
        }
    } catch (const std::exception&) { // NOLINT(bugprone-empty-catch): only a log file may stay
    }
}

} // namespace cppvm::vm
