#pragma once

#include <filesystem>
#include <string_view>

namespace cppvm::cgroup {

/// Whether linux.cgroupsPath is in one of the two forms that runc takes.
bool is_cgroups_path(std::string_view cgroups_path);

/// Where in each hierarchy a sandbox's cgroup is, without a leading slash: beside the cgroup that
/// runc would make for the container that starts the sandbox, and so in the pod's where there is
/// one. `name`: of the cgroup itself.
///
/// `cgroups_path` is linux.cgroupsPath of that container, in one of the two forms that runc takes
/// (https://github.com/opencontainers/runc/blob/main/docs/systemd.md): "/a/b/<container>", or
/// "<slice>:<prefix>:<container>" where systemd makes the cgroups. Empty, or no path in either
/// form: in "cppvm", a cgroup of our own.
std::filesystem::path sandbox_cgroup(std::string_view cgroups_path, std::string_view name);

} // namespace cppvm::cgroup
