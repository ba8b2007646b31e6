#include "host/check/isolation_checks.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/cgroup/hierarchy.hpp"
#include "host/check/host_checks.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdint>
#include <sstream>

namespace cppvm::check {

namespace {

constexpr std::size_t max_conf_bytes = 1024UL * 1024;

bool has(const std::vector<std::string>& models, std::string_view name) {
    return std::ranges::find(models, name) != models.end();
}

Check qemu_user(const config::Isolation& isolation, const std::vector<std::string>& models) {
    const char* const name = "QEMU's user";
    if (!has(models, "dac")) {
        return warning(
            name,
            "libvirt has no dac security model, so every QEMU runs as libvirt itself does",
            "use the libvirt of the system: uri = \"qemu:///system\" in [hypervisor]"
        );
    }
    const std::uint64_t last = std::uint64_t{isolation.first_uid} + isolation.uid_count - 1;
    return ok(
        name,
        "one of its own for each sandbox, of " + std::to_string(isolation.first_uid) + " to " +
            std::to_string(last)
    );
}

Check access_control(const std::vector<std::string>& models) {
    const char* const name = "access control";
    for (const char* model : {"apparmor", "selinux"}) {
        if (has(models, model)) {
            return ok(name, std::string("libvirt confines each QEMU by ") + model);
        }
    }
    return warning(
        name,
        "libvirt confines QEMU by neither AppArmor nor SELinux",
        "enable one of them in the host's kernel (security=apparmor) and restart libvirtd"
    );
}

// "key = value" lines; the last one counts.
std::string find_setting(const std::string& text, std::string_view key) {
    std::istringstream lines(text);
    std::string found;
    for (std::string line; std::getline(lines, line);) {
        std::erase_if(line, [](unsigned char c) { return std::isspace(c) != 0; });
        if (line.starts_with(key) && line.substr(key.size()).starts_with("=")) {
            found = line.substr(key.size() + 1);
        }
    }
    return found;
}

Check qemu_seccomp(const std::filesystem::path& root) {
    const char* const name = "QEMU's seccomp";
    const auto path = root / "etc/libvirt/qemu.conf";
    try {
        if (find_setting(read_file(path, max_conf_bytes), "seccomp_sandbox") == "0") {
            return warning(
                name,
                "off: seccomp_sandbox = 0 in " + path.native(),
                "remove the line and restart libvirtd"
            );
        }
    } catch (const Error& error) {
        if (error.cause().value() != ENOENT) {
            return warning(name, error.message(), "run this as root");
        }
    }
    return ok(name, "on, which is libvirt's default");
}

Check cgroups(const std::filesystem::path& root) {
    const char* const name = "cgroup";
    const auto hierarchies = cgroup::find_hierarchies(
        root / std::filesystem::path(cgroup::default_root).relative_path()
    );
    if (hierarchies.empty()) {
        return warning(
            name,
            std::string("none at ") + cgroup::default_root +
                ": what works for a sandbox is neither limited nor accounted for",
            "mount them: mount -t cgroup2 none /sys/fs/cgroup"
        );
    }
    std::string controllers;
    for (const auto& hierarchy : hierarchies) {
        controllers += " " + hierarchy.controller;
    }
    const bool is_v2 = hierarchies.front().controller.empty();
    return ok(
        name,
        (is_v2 ? "version 2" : "version 1:" + controllers) +
            std::string("; each sandbox in one of its own, in its pod's where there is one")
    );
}

Check vsock_carrier(const config::Config& config, const std::filesystem::path& root) {
    const char* const name = "vsock's carrier";
    if (HostChecks(config, root).user_vsock()) {
        return ok(
            name,
            "vhost-device-vsock: a user of its own for each sandbox, no capabilities, seccomp, "
            "namespaces"
        );
    }
    return ok(name, "the host's kernel");
}

} // namespace

std::vector<Check> check_isolation(
    const config::Config& config,
    const std::vector<std::string>& security_models,
    const std::filesystem::path& root
) {
    std::vector<Check> checks;
    if (!security_models.empty()) {
        checks.push_back(qemu_user(config.isolation, security_models));
        checks.push_back(access_control(security_models));
    }
    checks.push_back(qemu_seccomp(root));
    checks.push_back(cgroups(root));
    checks.push_back(vsock_carrier(config, root));
    checks.push_back(ok("virtiofsd's sandbox", "its own: namespaces, pivot_root, seccomp"));
    return checks;
}

} // namespace cppvm::check
