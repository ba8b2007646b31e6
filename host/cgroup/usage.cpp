#include "host/cgroup/usage.hpp"

#include "common/base/number.hpp"
#include "common/os/file.hpp"

#include <sstream>

namespace cppvm::cgroup {

namespace {

constexpr std::size_t max_file_bytes = 1024UL * 1024;
// Version 1 says the largest number of bytes in whole pages, version 2 "max".
constexpr std::uint64_t no_limit_v1 = 1ULL << 62;

std::optional<std::uint64_t> parse(std::string_view text) {
    return line_to_number<std::uint64_t>(text);
}

std::string read(const std::filesystem::path& path) {
    try {
        return read_file(path, max_file_bytes);
    } catch (const std::exception&) {
        return {}; // not accounted for
    }
}

// "key value", one a line.
std::optional<std::uint64_t> find(const std::string& text, const std::string& key) {
    std::istringstream words(text);
    for (std::string name, value; words >> name >> value;) {
        if (name == key) {
            return parse(value);
        }
    }
    return std::nullopt;
}

// "8:0 rbytes=1 wbytes=2 …", one device a line.
void add_io_v2(const std::string& text, Usage& usage) {
    usage.io_read_bytes = 0;
    usage.io_written_bytes = 0;
    std::istringstream words(text);
    for (std::string word; words >> word;) {
        if (word.starts_with("rbytes=")) {
            *usage.io_read_bytes += parse(std::string_view(word).substr(7)).value_or(0);
        } else if (word.starts_with("wbytes=")) {
            *usage.io_written_bytes += parse(std::string_view(word).substr(7)).value_or(0);
        }
    }
}

// "8:0 Read 1", one device and kind a line; the last is "Total 3".
void add_io_v1(const std::string& text, Usage& usage) {
    usage.io_read_bytes = 0;
    usage.io_written_bytes = 0;
    std::istringstream lines(text);
    for (std::string device, kind, value; lines >> device >> kind >> value;) {
        if (kind == "Read") {
            *usage.io_read_bytes += parse(value).value_or(0);
        } else if (kind == "Write") {
            *usage.io_written_bytes += parse(value).value_or(0);
        }
    }
}

void read_v2(const std::filesystem::path& directory, Usage& usage) {
    usage.memory_bytes = parse(read(directory / "memory.current"));
    usage.cpu_microseconds = find(read(directory / "cpu.stat"), "usage_usec");
    usage.tasks = parse(read(directory / "pids.current"));
    if (std::filesystem::exists(directory / "io.stat")) {
        add_io_v2(read(directory / "io.stat"), usage);
    }
}

void read_v1(const Hierarchy& hierarchy, const std::filesystem::path& directory, Usage& usage) {
    constexpr const char* io_file = "blkio.throttle.io_service_bytes";
    if (hierarchy.controller == "memory") {
        usage.memory_bytes = parse(read(directory / "memory.usage_in_bytes"));
    } else if (hierarchy.controller == "cpuacct") {
        const auto nanoseconds = parse(read(directory / "cpuacct.usage"));
        usage.cpu_microseconds = nanoseconds ? std::optional(*nanoseconds / 1000) : std::nullopt;
    } else if (hierarchy.controller == "pids") {
        usage.tasks = parse(read(directory / "pids.current"));
    } else if (hierarchy.controller == "blkio" && std::filesystem::exists(directory / io_file)) {
        add_io_v1(read(directory / io_file), usage);
    }
}

} // namespace

Usage read_usage(
    const std::filesystem::path& location, const std::vector<Hierarchy>& hierarchies
) noexcept {
    Usage usage;
    try {
        for (const auto& hierarchy : hierarchies) {
            if (hierarchy.controller.empty()) {
                read_v2(hierarchy.root / location, usage);
            } else {
                read_v1(hierarchy, hierarchy.root / location, usage);
            }
        }
    } catch (const std::exception&) { // NOLINT(bugprone-empty-catch): what was read counts
    }
    return usage;
}

std::uint64_t memory_kills(const std::vector<std::filesystem::path>& directories) noexcept {
    std::uint64_t kills = 0;
    for (const auto& directory : directories) {
        for (const char* file : {"memory.events", "memory.oom_control"}) { // version 2, version 1
            kills += find(read(directory / file), "oom_kill").value_or(0);
        }
    }
    return kills;
}

std::optional<std::uint64_t> memory_limit(const std::vector<std::filesystem::path>& directories
) noexcept {
    std::optional<std::uint64_t> least;
    for (auto directory : directories) {
        for (; directory.has_relative_path(); directory = directory.parent_path()) {
            for (const char* file : {"memory.max", "memory.limit_in_bytes"}) {
                const auto limit = parse(read(directory / file));
                if (limit && *limit < no_limit_v1 && (!least || *limit < *least)) {
                    least = limit;
                }
            }
        }
    }
    return least;
}

} // namespace cppvm::cgroup
