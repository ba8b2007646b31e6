#include "guest-agent/setup/support.hpp"

#include "common/base/error.hpp"
#include "guest-agent/setup/capabilities.hpp"
#include "guest-agent/setup/mount_options.hpp"
#include "guest-agent/setup/namespaces.hpp"
#include "guest-agent/setup/rlimits.hpp"
#include "guest-agent/setup/sysctl.hpp"

#include <algorithm>

namespace cppvm::guest {

namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& problem) {
    throw Error(Code::invalid_argument, path + ": " + problem);
}

void review_mount(
    const oci::Mount& mount, const std::string& path, std::vector<std::string>& left_out
) {
    const auto has = [&](const char* option) {
        return std::find(mount.options.begin(), mount.options.end(), option) != mount.options.end();
    };
    if (mount.id_mapped || has("idmap") || has("ridmap")) {
        refuse(path, "id-mapped mounts are not supported");
    }
    const MountOptions options = parse_mount_options(mount.options);
    const bool bind = options.bind || mount.type == "bind";
    if (!bind && mount.type.empty()) {
        refuse(path + ".type", "is missing");
    }
    const std::string prefix = path + ".options.";
    for (const std::string& option : options.not_honoured) {
        left_out.push_back(prefix + option);
    }
    // Bind mounts have no file system to take them; the cgroup file system's own are those of
    // version 1.
    if (bind || mount.type == "cgroup") {
        for (const std::string& option : options.data) {
            left_out.push_back(prefix + option.substr(0, 64));
        }
    }
}

} // namespace

std::vector<std::string> review(const oci::Process& process) {
    std::vector<std::string> left_out;
    static_cast<void>(to_sets(process.capabilities, left_out));
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
    return left_out;
}

std::vector<std::string> review(const oci::Spec& spec) {
    static_cast<void>(namespace_flags(spec.linux_part));
    std::vector<std::string> left_out = review(spec.process);
    for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
        review_mount(spec.mounts[i], "mounts[" + std::to_string(i) + "]", left_out);
    }
    const std::string& propagation = spec.linux_part.rootfs_propagation;
    if (!propagation.empty() && parse_mount_options({propagation}).propagation.empty()) {
        refuse("linux.rootfsPropagation", "unknown value '" + propagation.substr(0, 64) + "'");
    }
    for (const auto& [key, value] : spec.linux_part.sysctl) {
        static_cast<void>(sysctl_path(key));
    }
    return left_out;
}

} // namespace cppvm::guest
