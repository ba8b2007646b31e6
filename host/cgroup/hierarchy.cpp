#include "host/cgroup/hierarchy.hpp"

#include "common/os/file.hpp"

#include <algorithm>

namespace cppvm::cgroup {

namespace {

constexpr std::size_t max_membership_bytes = 64UL * 1024;

std::string_view take_until(std::string_view& text, char end) {
    const std::size_t at = std::min(text.find(end), text.size());
    const std::string_view part = text.substr(0, at);
    text.remove_prefix(std::min(at + 1, text.size()));
    return part;
}

bool lists(std::string_view controllers, std::string_view name) {
    if (controllers.empty() || name.empty()) {
        return controllers == name;
    }
    while (!controllers.empty()) {
        if (take_until(controllers, ',') == name) {
            return true;
        }
    }
    return false;
}

} // namespace

std::vector<Hierarchy> find_hierarchies(const std::filesystem::path& root) {
    std::error_code error;
    if (std::filesystem::exists(root / "cgroup.controllers", error)) {
        return {{root, ""}};
    }
    std::vector<Hierarchy> found;
    for (const char* controller : {"memory", "cpu", "cpuacct", "pids", "blkio"}) {
        if (std::filesystem::exists(root / controller / "cgroup.procs", error)) {
            found.push_back({root / controller, controller});
        }
    }
    return found;
}

// Lines "<number>:<controllers>:<path>" (cgroups(7)).
std::vector<std::filesystem::path>
parse_membership(std::string_view text, const std::vector<Hierarchy>& hierarchies) {
    std::vector<std::filesystem::path> directories;
    directories.reserve(hierarchies.size());
    for (const auto& hierarchy : hierarchies) {
        directories.push_back(hierarchy.root);
    }
    while (!text.empty()) {
        std::string_view line = take_until(text, '\n');
        take_until(line, ':');
        const std::string_view controllers = take_until(line, ':');
        for (std::size_t i = 0; i < hierarchies.size(); ++i) {
            if (lists(controllers, hierarchies[i].controller)) {
                directories[i] = hierarchies[i].root / std::filesystem::path(line).relative_path();
            }
        }
    }
    return directories;
}

std::vector<std::filesystem::path>
membership(pid_t pid, const std::vector<Hierarchy>& hierarchies) {
    const std::string name = pid == 0 ? "self" : std::to_string(pid);
    const std::string text = read_file("/proc/" + name + "/cgroup", max_membership_bytes);
    return parse_membership(text, hierarchies);
}

void move_process(pid_t pid, const std::filesystem::path& directory) {
    write_control_file(directory / "cgroup.procs", std::to_string(pid));
}

} // namespace cppvm::cgroup
