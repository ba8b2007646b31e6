#include "guest-agent/setup/namespaces.hpp"

#include "common/base/error.hpp"
#include "common/oci/id_map.hpp"
#include "common/oci/names.hpp"
#include "common/oci/refuse.hpp"
#include "common/wire/ports.hpp"
#include "guest-agent/setup/mount_options.hpp"

#include <algorithm>
#include <sched.h>
#include <sys/mount.h>

namespace cppvm::guest {

namespace {

std::uint64_t flag_of(const std::string& type, const std::string& path) {
    const auto* const word = oci::find_namespace_word(type);
    if (word == nullptr) {
        throw Error(
            Code::invalid_argument,
            path + ".type: namespaces of type '" + type.substr(0, 64) + "' are not supported"
        );
    }
    return word->flag;
}

void require_root(const std::vector<oci::IdMapping>& mappings, const char* path) {
    if (!oci::to_host_id(mappings, 0)) {
        oci::refuse(path, "must map the id 0 of the container, whose root sets it up");
    }
}

} // namespace

std::uint64_t namespace_flags(const oci::Linux& spec) {
    std::uint64_t flags = 0;
    for (std::size_t i = 0; i < spec.namespaces.size(); ++i) {
        const oci::Namespace& item = spec.namespaces[i];
        const std::string path = "linux.namespaces[" + std::to_string(i) + "]";
        const std::uint64_t flag = flag_of(item.type, path);
        if (!item.path.empty() && item.path != wire::pod_namespace &&
            !item.path.starts_with(wire::container_prefix)) {
            throw Error(
                Code::invalid_argument,
                path + ".path: '" + item.path.substr(0, 256) + "' is not a namespace of the guest"
            );
        }
        if ((flags & flag) != 0) {
            throw Error(Code::invalid_argument, path + ": a second one of type " + item.type);
        }
        flags |= flag;
    }
    if ((flags & CLONE_NEWNS) == 0) {
        // The root is changed in it: without one of its own that would be the agent's.
        throw Error(Code::invalid_argument, "linux.namespaces: must have one of type 'mount'");
    }
    const bool mapped = !spec.uid_mappings.empty() && !spec.gid_mappings.empty();
    if ((flags & CLONE_NEWUSER) != 0 && !mapped) {
        throw Error(
            Code::invalid_argument,
            "linux.uidMappings: a user namespace needs uidMappings and gidMappings"
        );
    }
    if ((flags & CLONE_NEWUSER) == 0 &&
        (!spec.uid_mappings.empty() || !spec.gid_mappings.empty())) {
        throw Error(
            Code::invalid_argument,
            "linux.uidMappings: mappings need a namespace of type 'user' in linux.namespaces"
        );
    }
    if ((flags & CLONE_NEWUSER) != 0) {
        require_root(spec.uid_mappings, "linux.uidMappings");
        require_root(spec.gid_mappings, "linux.gidMappings");
    }
    return flags;
}

std::optional<std::uint32_t> cgroup_owner(const oci::Spec& spec) {
    constexpr std::uint64_t needed = CLONE_NEWUSER | CLONE_NEWCGROUP;
    const bool writable = std::ranges::any_of(spec.mounts, [](const oci::Mount& mount) {
        return (mount.type == "cgroup" || mount.type == "cgroup2") &&
               (parse_mount_options(mount.options).set & MOUNT_ATTR_RDONLY) == 0;
    });
    if (!writable || (namespace_flags(spec.linux_part) & needed) != needed) {
        return std::nullopt;
    }
    return oci::to_host_id(spec.linux_part.uid_mappings, 0);
}

} // namespace cppvm::guest
