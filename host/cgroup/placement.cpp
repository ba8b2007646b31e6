#include "host/cgroup/placement.hpp"

#include "common/os/file.hpp"
#include "common/os/process_stat.hpp"

#include <algorithm>
#include <iterator>
#include <sstream>
#include <string>

namespace cppvm::cgroup {

namespace {

constexpr std::size_t max_threads_bytes = 1024UL * 1024;
constexpr std::size_t max_stat_bytes = 4096;
constexpr int flags_field = 9;                       // of /proc/PID/stat
constexpr std::uint64_t is_kernel_thread = 0x200000; // PF_KTHREAD of linux/sched.h

// "vhost-<pid>", "kvm-nx-lpage-recovery-<pid>". Any process can take such a name, but not the flag.
bool works_for(pid_t thread, pid_t process, const std::filesystem::path& proc) {
    const auto directory = proc / std::to_string(thread);
    const std::string name = read_file(directory / "comm", max_stat_bytes);
    if (!name.ends_with("-" + std::to_string(process) + "\n")) {
        return false;
    }
    const std::string stat = read_file(directory / "stat", max_stat_bytes);
    return (stat_number(stat, flags_field).value_or(0) & is_kernel_thread) != 0;
}

// libvirt's cgroups of version 2 are threaded, in which cgroup.procs cannot be read.
std::string read_threads(const Place& place) {
    const char* const file = place.hierarchy.controller.empty() ? "cgroup.threads" : "tasks";
    return read_file(place.directory / file, max_threads_bytes);
}

} // namespace

std::vector<Place> own_cgroups(std::string_view name, const std::vector<Hierarchy>& hierarchies) {
    const auto directories = membership(0, hierarchies);
    std::vector<Place> places;
    for (std::size_t i = 0; i < hierarchies.size(); ++i) {
        if (directories[i].filename() == name) {
            places.push_back({hierarchies[i], directories[i]});
        }
    }
    return places;
}

std::vector<pid_t>
kernel_threads(const Place& place, pid_t process, const std::filesystem::path& proc) noexcept {
    std::vector<pid_t> found;
    try {
        std::istringstream threads(read_threads(place));
        for (pid_t thread = 0; threads >> thread;) {
            try {
                if (works_for(thread, process, proc)) {
                    found.push_back(thread);
                }
            } catch (const std::exception&) { // NOLINT(bugprone-empty-catch): it has ended
            }
        }
    } catch (const std::exception&) { // NOLINT(bugprone-empty-catch): it went with its last process
    }
    return found;
}

void move_to(const std::vector<Place>& places, pid_t process) {
    std::vector<Hierarchy> hierarchies;
    std::ranges::transform(places, std::back_inserter(hierarchies), &Place::hierarchy);
    const auto left = membership(process, hierarchies);
    for (std::size_t i = 0; i < places.size(); ++i) {
        move_process(process, places[i].directory);
        for (const pid_t thread : kernel_threads({hierarchies[i], left[i]}, process)) {
            move_process(thread, places[i].directory);
        }
    }
}

} // namespace cppvm::cgroup
