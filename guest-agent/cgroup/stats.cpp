#include "guest-agent/cgroup/stats.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"

#include <array>
#include <cerrno>

namespace cppvm::guest {

namespace {

constexpr std::size_t max_file = 64UL * 1024;

constexpr std::array single_files{
    "memory.current",
    "memory.max",
    "memory.peak",
    "memory.swap.current",
    "memory.swap.max",
    "memory.swap.peak",
    "pids.current",
    "pids.max"
};
constexpr std::array keyed_files{"memory.stat", "memory.events", "cpu.stat"};

/// Nothing for a file that is not there, or of a controller that has nothing to say.
std::optional<std::string> read_if_there(const std::filesystem::path& path) {
    try {
        return read_file(path, max_file);
    } catch (const Error& error) {
        if (error.cause().value() != ENOENT && error.cause().value() != EOPNOTSUPP) {
            throw;
        }
    }
    return std::nullopt;
}

} // namespace

CgroupStats read_stats(const std::filesystem::path& cgroup) {
    CgroupStats stats;
    for (const char* name : single_files) {
        const auto text = read_if_there(cgroup / name);
        const auto number = text ? parse_number(*text) : std::nullopt;
        if (number) {
            stats.values.emplace(name, *number);
        }
    }
    for (const char* name : keyed_files) {
        if (const auto text = read_if_there(cgroup / name)) {
            add_flat_keyed(*text, name, stats.values);
        }
    }
    if (const auto text = read_if_there(cgroup / "io.stat")) {
        stats.devices = parse_device_numbers(*text);
    }
    return stats;
}

} // namespace cppvm::guest
