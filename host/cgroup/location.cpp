#include "host/cgroup/location.hpp"

#include <algorithm>
#include <optional>
#include <string>

namespace cppvm::cgroup {

namespace {

constexpr std::string_view suffix = ".slice";

// "a-b.slice" is "a.slice/a-b.slice"; "-.slice" is the root (systemd.slice(5)).
std::optional<std::filesystem::path> expand_slice(std::string_view slice) {
    if (slice.empty()) {
        slice = "system.slice"; // as runc
    }
    if (slice == "-.slice") {
        return std::filesystem::path();
    }
    const std::string_view stem =
        slice.substr(0, slice.size() - std::min(slice.size(), suffix.size()));
    if (!slice.ends_with(suffix) || stem.empty() || stem.front() == '-' || stem.back() == '-' ||
        stem.find("--") != stem.npos || stem.find('/') != stem.npos) {
        return std::nullopt;
    }
    std::filesystem::path path;
    for (std::size_t dash = stem.find('-'); dash != stem.npos; dash = stem.find('-', dash + 1)) {
        path /= std::string(stem.substr(0, dash)).append(suffix);
    }
    return path / slice;
}

std::optional<std::filesystem::path> parent_of(std::string_view cgroups_path) {
    if (cgroups_path.empty() || cgroups_path.find('\0') != cgroups_path.npos) {
        return std::nullopt;
    }
    if (cgroups_path.front() != '/' && std::ranges::count(cgroups_path, ':') == 2) {
        return expand_slice(cgroups_path.substr(0, cgroups_path.find(':')));
    }
    // As seen from the root, so that ".." does not lead out of it.
    const std::filesystem::path path =
        (std::filesystem::path("/") / std::filesystem::path(cgroups_path).relative_path())
            .lexically_normal();
    const bool names_directory = !path.has_filename(); // "/a/b/"
    return (names_directory ? path.parent_path() : path).parent_path().relative_path();
}

} // namespace

bool is_cgroups_path(std::string_view cgroups_path) {
    return parent_of(cgroups_path).has_value();
}

std::filesystem::path sandbox_cgroup(std::string_view cgroups_path, std::string_view name) {
    return parent_of(cgroups_path).value_or("cppvm") / name;
}

} // namespace cppvm::cgroup
