#include "guest-agent/setup/support.hpp"

#include "common/base/number.hpp"
#include "common/oci/id_map.hpp"
#include "common/oci/refuse.hpp"
#include "common/wire/ports.hpp"
#include "guest-agent/setup/capabilities.hpp"
#include "guest-agent/setup/mount_options.hpp"
#include "guest-agent/setup/namespaces.hpp"
#include "guest-agent/setup/rlimits.hpp"
#include "guest-agent/setup/scheduling.hpp"
#include "guest-agent/setup/shared_namespaces.hpp"
#include "guest-agent/setup/sysctl.hpp"
#include "guest-agent/setup/time_namespace.hpp"

#include <algorithm>
#include <string_view>
#include <unistd.h>

namespace cppvm::guest {

namespace {

using oci::refuse;

/// The kernel only says "invalid argument". Without a user namespace every id is mapped.
void require_mapped(
    const MountOptions& options,
    std::string_view key,
    const std::vector<oci::IdMapping>& mappings,
    const std::string& path
) {
    for (const std::string& option : options.data) {
        if (mappings.empty() || !option.starts_with(key)) {
            continue;
        }
        const auto id = to_number<std::uint32_t>(std::string_view(option).substr(key.size()));
        if (id && !oci::to_host_id(mappings, *id)) {
            refuse(
                path + ".options." + option.substr(0, 64),
                std::string("is not mapped by linux.") + (key == "uid=" ? "uid" : "gid") +
                    "Mappings"
            );
        }
    }
}

void review_mount(
    const oci::Mount& mount,
    const std::string& path,
    const oci::Linux& container,
    std::vector<std::string>& unsupported
) {
    const auto has = [&](const char* option) {
        return std::find(mount.options.begin(), mount.options.end(), option) != mount.options.end();
    };
    if (!mount.uid_mappings.empty() || !mount.gid_mappings.empty() || has("idmap") ||
        has("ridmap")) {
        refuse(path, "id-mapped mounts are the host's to make");
    }
    const MountOptions options = parse_mount_options(mount.options);
    const bool bind = options.bind || mount.type == "bind" || mount.type == wire::device_mount_type;
    if (!bind && mount.type.empty()) {
        refuse(path + ".type", "is missing");
    }
    require_mapped(options, "uid=", container.uid_mappings, path);
    require_mapped(options, "gid=", container.gid_mappings, path);
    const std::string prefix = path + ".options.";
    for (const std::string& option : options.unsupported) {
        unsupported.push_back(prefix + option);
    }
    if (options.copy_up && (bind || mount.type != "tmpfs")) {
        unsupported.push_back(prefix + "tmpcopyup");
    }
    // Bind mounts have no file system to take them; the cgroup file system's own are those of
    // version 1.
    if (bind || mount.type == "cgroup") {
        for (const std::string& option : options.data) {
            unsupported.push_back(prefix + option.substr(0, 64));
        }
    }
}

std::int64_t machine_memory() {
    return std::int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE);
}

} // namespace

std::vector<std::string> review(const oci::Resources& resources) {
    std::vector<std::string> unsupported;
    const auto report_above = [&](std::int64_t value, std::int64_t machine, const char* path) {
        if (value > machine) {
            unsupported.emplace_back(path);
        }
    };
    const std::int64_t memory = machine_memory();
    report_above(resources.memory.limit.value_or(0), memory, "linux.resources.memory.limit");
    report_above(
        resources.memory.reservation.value_or(0), memory, "linux.resources.memory.reservation"
    );
    constexpr std::uint64_t default_period = 100000; // microseconds
    const std::uint64_t period = resources.cpu.period.value_or(0);
    const auto machine_quota = static_cast<std::int64_t>(
        (period == 0 ? default_period : std::min<std::uint64_t>(period, 1000000)) *
        static_cast<std::uint64_t>(::sysconf(_SC_NPROCESSORS_ONLN))
    );
    report_above(resources.cpu.quota.value_or(0), machine_quota, "linux.resources.cpu.quota");
    return unsupported;
}

std::vector<std::string> review(const oci::Process& process) {
    std::vector<std::string> unsupported;
    for (std::size_t i = 0; i < process.env.size(); ++i) {
        if (process.env[i].find('=') == std::string::npos || process.env[i].front() == '=') {
            // Not the text: it may be a secret.
            refuse("process.env[" + std::to_string(i) + "]", "must be NAME=VALUE");
        }
    }
    static_cast<void>(to_sets(process.capabilities, unsupported));
    for (std::size_t i = 0; i < process.rlimits.size(); ++i) {
        const oci::Rlimit& limit = process.rlimits[i];
        const std::string path = "process.rlimits[" + std::to_string(i) + "]";
        if (!rlimit_number(limit.type)) {
            refuse(path + ".type", "unknown limit '" + limit.type.substr(0, 64) + "'");
        }
        if (limit.soft > limit.hard) {
            refuse(path, "the soft limit is above the hard limit");
        }
    }
    review_scheduling(process);
    return unsupported;
}

std::vector<std::string> review(const oci::Spec& spec) {
    static_cast<void>(namespace_flags(spec.linux_part));
    static_cast<void>(shared_namespaces(spec.linux_part));
    review_time_offsets(spec.linux_part);
    std::vector<std::string> unsupported = review(spec.process);
    for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
        review_mount(
            spec.mounts[i], "mounts[" + std::to_string(i) + "]", spec.linux_part, unsupported
        );
    }
    const std::string& propagation = spec.linux_part.rootfs_propagation;
    if (!propagation.empty() && parse_mount_options({propagation}).propagation.empty()) {
        refuse("linux.rootfsPropagation", "unknown value '" + propagation.substr(0, 64) + "'");
    }
    if (spec.linux_part.personality) {
        review_personality(*spec.linux_part.personality);
    }
    for (const auto& [key, value] : spec.linux_part.sysctl) {
        static_cast<void>(sysctl_path(key));
    }
    const std::vector<std::string> limits = review(spec.linux_part.resources);
    unsupported.insert(unsupported.end(), limits.begin(), limits.end());
    return unsupported;
}

} // namespace cppvm::guest
