#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace cppvm::cgroup {

/// A tree of cgroups that accounts for something that a sandbox uses
/// (https://docs.kernel.org/admin-guide/cgroup-v2.html and cgroup-v1/).
struct Hierarchy {
    std::filesystem::path root;
    std::string controller; ///< of version 1: "memory"; empty: version 2, which has all
};

inline constexpr const char* default_root = "/sys/fs/cgroup";

/// The host's: version 2 alone where it is mounted at `root`, else version 1's of memory, CPU,
/// processes and block I/O, as many as there are. The others are left alone: a new cpuset is
/// empty, and devices are libvirt's business. `root`: another in tests.
std::vector<Hierarchy> find_hierarchies(const std::filesystem::path& root = default_root);

/// Where in each hierarchy a process is, from its /proc/<pid>/cgroup, in the order of
/// `hierarchies`. Those that it does not name are at the root.
std::vector<std::filesystem::path>
parse_membership(std::string_view text, const std::vector<Hierarchy>& hierarchies);

/// The same of a process, 0: this one. Throws: Error.
std::vector<std::filesystem::path> membership(pid_t pid, const std::vector<Hierarchy>& hierarchies);

/// Moves a process, with all of its threads, into a cgroup; 0: this one. Throws: Error.
void move_process(pid_t pid, const std::filesystem::path& directory);

} // namespace cppvm::cgroup
