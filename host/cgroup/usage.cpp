#include "host/cgroup/usage.hpp"

#include "common/base/number.hpp"
#include "common/os/file.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

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

/// The files of a cgroup in one hierarchy, each in the nearest cgroup that has it.
class Files {
  public:
    Files(const Hierarchy& hierarchy, std::filesystem::path location)
        : hierarchy_(hierarchy), location_(std::move(location)) {}

    /// Whether the hierarchy is that of `controller`, or version 2.
    bool has(std::string_view controller) const {
        return is_v2() || hierarchy_.controller == controller;
    }
    bool is_v2() const { return hierarchy_.controller.empty(); }

    std::optional<std::string> read(const char* file) const {
        for (auto at = location_; !at.empty(); at = at.parent_path()) {
            const auto path = hierarchy_.root / at / file;
            if (std::filesystem::exists(path)) {
                return cgroup::read(path);
            }
        }
        return std::nullopt;
    }

    std::optional<std::uint64_t> number(const char* file) const {
        return parse(read(file).value_or(""));
    }
    std::optional<std::uint64_t> number(const char* file, const char* key) const {
        return find(read(file).value_or(""), key);
    }

    /// Of each cgroup that has it, from the inside out.
    std::vector<std::uint64_t> numbers(const char* file) const {
        std::vector<std::uint64_t> found;
        for (auto at = location_; !at.empty(); at = at.parent_path()) {
            if (const auto number = parse(cgroup::read(hierarchy_.root / at / file))) {
                found.push_back(*number);
            }
        }
        return found;
    }

  private:
    const Hierarchy& hierarchy_;
    std::filesystem::path location_;
};

void read_v2(const Files& files, Usage& usage) {
    usage.memory_bytes = files.number("memory.current");
    usage.cpu_microseconds = files.number("cpu.stat", "usage_usec");
    usage.tasks = files.number("pids.current");
    if (const auto io = files.read("io.stat")) {
        add_io_v2(*io, usage);
    }
}

void read_v1(const Files& files, Usage& usage) {
    if (files.has("memory")) {
        usage.memory_bytes = files.number("memory.usage_in_bytes");
    } else if (files.has("cpuacct")) {
        const auto nanoseconds = files.number("cpuacct.usage");
        usage.cpu_microseconds = nanoseconds ? std::optional(*nanoseconds / 1000) : std::nullopt;
    } else if (files.has("pids")) {
        usage.tasks = files.number("pids.current");
    } else if (const auto io = files.read("blkio.throttle.io_service_bytes")) {
        add_io_v1(*io, usage);
    }
}

/// Calls `read` with the files of each hierarchy. What it has read before a failure counts.
template <class Read>
void for_each(
    const std::filesystem::path& location, const std::vector<Hierarchy>& hierarchies, Read read
) noexcept {
    try {
        for (const auto& hierarchy : hierarchies) {
            read(Files(hierarchy, location));
        }
    } catch (const std::exception&) { // NOLINT(bugprone-empty-catch): see above
    }
}

} // namespace

Usage read_usage(
    const std::filesystem::path& location, const std::vector<Hierarchy>& hierarchies
) noexcept {
    Usage usage;
    for_each(location, hierarchies, [&](const Files& files) {
        files.is_v2() ? read_v2(files, usage) : read_v1(files, usage);
    });
    return usage;
}

std::uint64_t memory_kills(
    const std::filesystem::path& location, const std::vector<Hierarchy>& hierarchies
) noexcept {
    std::uint64_t kills = 0;
    for_each(location, hierarchies, [&](const Files& files) {
        if (files.has("memory")) {
            const char* const file = files.is_v2() ? "memory.events" : "memory.oom_control";
            kills += files.number(file, "oom_kill").value_or(0);
        }
    });
    return kills;
}

std::optional<std::uint64_t> memory_limit(
    const std::filesystem::path& location, const std::vector<Hierarchy>& hierarchies
) noexcept {
    std::uint64_t least = no_limit_v1;
    for_each(location, hierarchies, [&](const Files& files) {
        if (files.has("memory")) {
            const char* const file = files.is_v2() ? "memory.max" : "memory.limit_in_bytes";
            for (const std::uint64_t limit : files.numbers(file)) {
                least = std::min(least, limit);
            }
        }
    });
    return least == no_limit_v1 ? std::nullopt : std::optional(least);
}

} // namespace cppvm::cgroup
