#pragma once

#include "host/cgroup/hierarchy.hpp"

#include <filesystem>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace cppvm::cgroup {

/// A cgroup, and the hierarchy that it is in.
struct Place {
    Hierarchy hierarchy;
    std::filesystem::path directory;
};

/// The cgroups of this process in the hierarchies where they have this name. Throws: Error.
/// `hierarchies`: those that are looked at.
std::vector<Place>
own_cgroups(std::string_view name, const std::vector<Hierarchy>& hierarchies = find_hierarchies());

/// The threads in a cgroup that the kernel has made for a process: vhost's workers, KVM's. They are
/// no threads of that process (before Linux 6.4), and so are not moved with it. A cgroup that is
/// gone has none. `proc`: another in tests.
std::vector<pid_t> kernel_threads(
    const Place& place, pid_t process, const std::filesystem::path& proc = "/proc"
) noexcept;

/// Moves a process, with what the kernel has made for it, into these cgroups. Throws: Error.
void move_to(const std::vector<Place>& places, pid_t process);

} // namespace cppvm::cgroup
