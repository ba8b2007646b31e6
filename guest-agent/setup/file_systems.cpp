#include "guest-agent/setup/file_systems.hpp"

#include "guest-agent/setup/mount_api.hpp"

#include <algorithm>
#include <array>
#include <sched.h>
#include <string_view>
#include <sys/mount.h>

namespace cppvm::guest {

namespace {

struct KernelFileSystem {
    std::string_view type;
    /// The one of CLONE_NEW* whose content it shows; 0: each mount has a content of its own.
    std::uint64_t name_space;
};

/// Those whose instance does not belong to this mount alone: "ro" must not reach the others. All
/// can be mounted in a user namespace.
constexpr std::array<KernelFileSystem, 7> kernel_file_systems{{
    {"proc", CLONE_NEWPID},
    {"sysfs", CLONE_NEWNET},
    {"cgroup", CLONE_NEWCGROUP},
    {"cgroup2", CLONE_NEWCGROUP},
    {"mqueue", CLONE_NEWIPC},
    {"devpts", 0},
    {"tmpfs", 0},
}};

const KernelFileSystem* find(std::string_view type) {
    const auto* const found = std::find_if(
        kernel_file_systems.begin(),
        kernel_file_systems.end(),
        [&](const KernelFileSystem& entry) { return entry.type == type; }
    );
    return found == kernel_file_systems.end() ? nullptr : found;
}

} // namespace

UniqueFd make_file_system(const oci::Mount& mount, const MountOptions& options) {
    std::string type = mount.type;
    std::vector<std::string> data = options.data;
    std::string source = mount.source;
    if (type == "cgroup") {
        // The guest has the unified hierarchy only, whatever the spec was written for; options of
        // the old one have no meaning there.
        type = "cgroup2";
        data.clear();
    }
    if (find(type) != nullptr) {
        source = type;
    } else if ((options.set & MOUNT_ATTR_RDONLY) != 0) {
        data.emplace_back("ro"); // a read-only disk cannot be opened otherwise
    }
    return make_mount(type, source, data, options.set, mount.destination);
}

bool is_of_the_machine(const std::string& type, std::uint64_t namespaces) {
    if ((namespaces & CLONE_NEWUSER) == 0 || type == "ramfs") {
        return false;
    }
    const KernelFileSystem* const known = find(type);
    return known == nullptr || (namespaces & known->name_space) != known->name_space;
}

} // namespace cppvm::guest
