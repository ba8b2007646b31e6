#include "host/storage/storage_plan.hpp"

#include "common/base/error.hpp"
#include "common/base/number.hpp"
#include "common/oci/device_access.hpp"
#include "common/oci/device_match.hpp"
#include "common/oci/refuse.hpp"
#include "common/os/device_text.hpp"
#include "common/wire/ports.hpp"
#include "host/storage/layered_root.hpp"
#include "host/storage/mount_options.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <utility>

namespace cppvm::storage {

namespace {

using oci::device_access;
using oci::DeviceAccess;
using oci::refuse;

// File systems that the guest's kernel makes by itself: they need nothing of the host.
constexpr std::array<std::string_view, 8> guest_types = {
    "proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "ramfs"
};

// File systems on disks that every kernel of the guest has built in (vmimage/kernel/config, and
// Debian's cloud kernel, which has ext4 alone). Others are mounted on the host.
constexpr std::array<std::string_view, 1> disk_types = {"ext4"};

// The node that goes with those of groups, /dev/vfio/vfio (linux/miscdevice.h).
const dev_t vfio_itself = makedev(10, 196);

// Each is a mount on the host, a file descriptor of virtiofsd and an inode in the guest.
constexpr std::size_t max_volumes = 1024;

/// Whether the device of a number is the same on every machine (the kernel's
/// Documentation/admin-guide/devices.txt), and not one that is handed out at run time.
bool is_allotted(dev_t number) {
    constexpr unsigned misc = 10; // its own minor numbers below 128 and above 255 are handed out
    const unsigned device = major(number);
    return device == misc ? minor(number) >= 128 && minor(number) <= 255
                          : device < 234 || (device > 254 && device < 384);
}

dev_t number_of(const oci::Device& device) {
    return makedev(static_cast<unsigned>(device.major), static_cast<unsigned>(device.minor));
}

bool has(const auto& mount, std::string_view option) {
    return std::ranges::find(mount.options, option) != mount.options.end();
}

/// What mount(8) keeps to itself.
bool is_for_the_host(const std::string& option) {
    return option == "loop" || option.starts_with("x-") || option.starts_with("X-");
}

std::optional<DiskSpec> to_root_disk(const MountSpec& mount, const DeviceAt& device_at) {
    DiskSpec disk{.read_only = has(mount, "ro"), .exclusive = true};
    if (has(mount, "loop")) {
        disk.image = mount.source;
        return disk;
    }
    const auto device = device_at(mount.source);
    if (!device || !S_ISBLK(device->mode)) {
        return std::nullopt;
    }
    disk.device = device->number;
    return disk;
}

std::optional<RootDisk>
plan_root_disk(std::span<const MountSpec> rootfs, const DeviceAt& device_at) {
    if (rootfs.size() != 1 || !rootfs[0].target.empty() ||
        std::ranges::find(disk_types, rootfs[0].type) == disk_types.end() ||
        !parse_mount_options(rootfs[0].options).id_map.is_empty()) { // which the host does
        return std::nullopt;
    }
    const auto disk = to_root_disk(rootfs[0], device_at);
    if (!disk) {
        return std::nullopt;
    }
    RootDisk root{*disk, rootfs[0].type, rootfs[0].options};
    std::erase_if(root.options, is_for_the_host);
    return root;
}

// Without a file of hashes there is nothing to check, and with one the kernel of the host would
// have to, block by block.
void require_no_verity(std::span<const MountSpec> rootfs) {
    for (std::size_t i = 0; i < rootfs.size(); ++i) {
        for (const std::string& option : rootfs[i].options) {
            if (option.starts_with("X-containerd.dmverity")) {
                throw Error(
                    Code::unimplemented,
                    "rootfs[" + std::to_string(i) + "].options: the layer " + rootfs[i].source +
                        " is to be checked by dm-verity, which is not supported; set dmverity_mode "
                        "of containerd's snapshotter erofs to \"off\""
                );
            }
        }
    }
}

/// The disk that is written to; the layers are files on the share, for which no machine has ports
/// enough.
RootDisk plan_layers(const LayeredRoot& root, std::vector<VolumeSpec>& layers) {
    for (const auto& image : root.layers) {
        layers.push_back({.source = image, .recursive = false, .read_only = true});
    }
    return {{.image = root.writable.source, .exclusive = true}, root.writable.type, {"rw"}};
}

// Volumes find their places in it, for those who look at the container's files by its pid.
MountSpec empty_rootfs() {
    return {"tmpfs", "tmpfs", "", {"size=64k", "mode=0755"}};
}

void add_disk(StoragePlan& plan, dev_t device, bool read_only) {
    const DiskSpec disk{.device = device, .read_only = read_only};
    if (std::ranges::find(plan.disks, disk) == plan.disks.end()) {
        plan.disks.push_back(disk);
    }
}

/// Whether the guest gets a disk for it. None of those that only happen to be allowed.
bool plan_block_device(const oci::Linux& spec, dev_t number, StoragePlan& plan) {
    const DeviceAccess access = device_access(spec.resources.devices, "b", number);
    if (!access.by_number || (!access.read && !access.write)) {
        return false;
    }
    add_disk(plan, number, !access.write);
    return true;
}

/// Whether it stands for hardware that the machine gets, and so is no device of the container's.
bool plan_vfio_group(
    const oci::Linux& spec,
    const oci::Device& device,
    const std::string& path,
    const VfioNameAt& vfio_name_at,
    StoragePlan& plan
) {
    const dev_t number = number_of(device);
    const DeviceAccess access = device_access(spec.resources.devices, "c", number);
    if (device.type == "p" || is_allotted(number) || !access.by_number) {
        return false;
    }
    const auto name = vfio_name_at(number);
    if (!name) {
        return false;
    }
    const auto group = to_number<unsigned>(*name);
    if (!group) {
        throw Error(
            Code::failed_precondition,
            path + ": /dev/vfio/" + *name +
                " is not that of an IOMMU group, and nothing else of "
                "VFIO can be given to a machine"
        );
    }
    if (!access.read || !access.write) {
        throw Error(
            Code::failed_precondition,
            path + ": /dev/vfio/" + *name + " can only be given away to be read and written"
        );
    }
    const VfioGroup entry{*group, number};
    if (std::ranges::find(plan.vfio_groups, entry) == plan.vfio_groups.end()) {
        plan.vfio_groups.push_back(entry);
    }
    return true;
}

/// Of what device plugins and CDI ask for. A number that is handed out at run time is another
/// device's in the guest, or none's.
void require_guests_own(
    const oci::Linux& spec, const oci::Device& device, const std::string& path
) {
    const dev_t number = number_of(device);
    if (device.type == "p" || is_allotted(number) ||
        !device_access(spec.resources.devices, "c", number).by_number) {
        return;
    }
    const bool vfio = device.path.starts_with("/dev/vfio/");
    throw Error(
        Code::failed_precondition,
        path + ": the character device " + device.path + " (" + device_text(number) + ") " +
            (vfio ? "stands for no IOMMU group of this host; bind the hardware to vfio-pci, which "
                    "makes its node"
                  : "belongs to this host alone; the guest has none like it")
    );
}

void plan_devices(const oci::Linux& spec, const VfioNameAt& vfio_name_at, StoragePlan& plan) {
    for (std::size_t i = 0; i < spec.devices.size(); ++i) {
        const oci::Device& device = spec.devices[i];
        const std::string path = "linux.devices[" + std::to_string(i) + "]";
        if (device.type == "b" && !plan_block_device(spec, number_of(device), plan)) {
            plan.unsupported.push_back(path);
            continue;
        }
        if (device.type != "b") {
            if (plan_vfio_group(spec, device, path, vfio_name_at, plan)) {
                continue;
            }
            require_guests_own(spec, device, path);
        }
        plan.devices.push_back(device);
    }
    if (!plan.vfio_groups.empty()) {
        std::erase_if(plan.devices, [](const oci::Device& device) {
            return device.type != "b" && device.type != "p" && number_of(device) == vfio_itself;
        });
    }
}

/// Whether it is one of the container's devices from now on. Else it is only a name, as for runc's
/// containers, which cannot open it either.
bool bind_block_device(
    const oci::Mount& mount,
    const HostDevice& device,
    std::span<const oci::DeviceRule> rules,
    StoragePlan& plan
) {
    const DeviceAccess access = device_access(rules, "b", device.number);
    if (!access.read && !access.write) {
        return false;
    }
    add_disk(plan, device.number, !access.write);
    plan.devices.push_back(
        {mount.destination,
         "b",
         major(device.number),
         minor(device.number),
         device.mode & 07777U,
         device.uid,
         device.gid}
    );
    return true;
}

bool is_bind(const oci::Mount& mount) {
    return mount.type == "bind" || has(mount, "bind") || has(mount, "rbind");
}

bool is_id_mapped(const oci::Mount& mount) {
    return !mount.uid_mappings.empty() || !mount.gid_mappings.empty() || has(mount, "idmap") ||
           has(mount, "ridmap");
}

void require_no_id_map(const oci::Mount& mount, const std::string& path, const char* problem) {
    if (is_id_mapped(mount)) {
        refuse(path, std::string("cannot be id-mapped: ") + problem);
    }
}

// config.md, "Mounts": mappings of its own come before the container's, and ask for it by
// themselves.
oci::IdMap
id_map_of(const oci::Mount& mount, const oci::Linux& container, const std::string& path) {
    if (mount.uid_mappings.empty() != mount.gid_mappings.empty()) {
        refuse(
            path + (mount.uid_mappings.empty() ? ".uidMappings" : ".gidMappings"),
            "is missing: owners and groups are mapped together"
        );
    }
    if (!is_id_mapped(mount) || !mount.uid_mappings.empty()) {
        return {mount.uid_mappings, mount.gid_mappings};
    }
    if (container.uid_mappings.empty() || container.gid_mappings.empty()) {
        refuse(
            path + ".options",
            "ask for an id-mapped mount, but neither it has uidMappings and gidMappings nor the "
            "container a user namespace with them"
        );
    }
    return {container.uid_mappings, container.gid_mappings};
}

// The share carries files: the guest binds its own device of that number.
oci::Mount bind_device(oci::Mount mount, dev_t number, const std::string& path) {
    if (!is_allotted(number)) {
        throw Error(
            Code::failed_precondition,
            path + ".source: the device " + mount.source + " (" + device_text(number) +
                ") belongs to this host alone; the guest has none like it"
        );
    }
    require_no_id_map(mount, path, "a device has no owners to map");
    mount.type = wire::device_mount_type;
    mount.source = device_text(number);
    std::erase_if(mount.options, [](const std::string& option) {
        return option == "bind" || option == "rbind";
    });
    return mount;
}

VolumeSpec
to_volume(const oci::Mount& mount, const std::filesystem::path& bundle, oci::IdMap id_map) {
    const MountOptions options = parse_mount_options(mount.options);
    const std::uint64_t set = (options.set & ~options.recursive_clear) | options.recursive_set;
    const std::uint64_t own = options.set & ~options.recursive_set & ~options.recursive_clear;
    const bool propagate = (options.propagation & (MS_SLAVE | MS_SHARED)) != 0;
    return {
        .source = bundle / mount.source, // an absolute source stays what it is
        .recursive = options.recursive_bind,
        .read_only = (set & MOUNT_ATTR_RDONLY) != 0,
        .recursive_read_only = (options.recursive_set & MOUNT_ATTR_RDONLY) != 0,
        .propagate = propagate,
        // The guest would keep busy what the host mounts and unmounts there.
        .differs_below = options.recursive_bind && own != 0 && !propagate,
        .id_map = std::move(id_map),
        .recursive_id_map = has(mount, "ridmap"),
        .destination = mount.destination
    };
}

// The host does it.
void take_id_map_out(oci::Mount& mount) {
    mount.uid_mappings.clear();
    mount.gid_mappings.clear();
    std::erase_if(mount.options, [](const std::string& option) {
        return option == "idmap" || option == "ridmap";
    });
}

// Over the dead name that the share shows of a socket in a directory.
oci::Mount in_directory(const oci::Mount& directory, const HostSocket& socket) {
    oci::Mount mount;
    mount.destination = directory.destination + "/" + socket.name;
    mount.type = wire::socket_mount_type;
    mount.options = {"bind"};
    return mount;
}

void add_socket(StoragePlan& plan, oci::Mount mount, const HostSocket& socket) {
    mount.source.clear();
    plan.sockets.push_back(socket);
    plan.socket_mounts.push_back(plan.mounts.size());
    plan.mounts.push_back(std::move(mount));
}

// A file system that the guest makes.
oci::Mount make_in_guest(oci::Mount mount, const std::string& path) {
    require_no_id_map(mount, path, "only bind mounts can");
    if (std::ranges::find(guest_types, mount.type) == guest_types.end()) {
        throw Error(
            Code::unimplemented,
            path + ".type: file systems of type '" + mount.type +
                "' cannot be mounted in the guest; bind-mount it from the host instead"
        );
    }
    mount.source = mount.type; // only a label, which could be a path of the host
    return mount;
}

} // namespace

StoragePlan plan_storage(
    const oci::Spec& spec,
    std::vector<MountSpec> rootfs,
    const std::filesystem::path& bundle,
    const DeviceAt& device_at,
    const SocketsAt& sockets_at,
    const VfioNameAt& vfio_name_at
) {
    StoragePlan plan;
    plan.rootfs_source = bundle / spec.root.path;
    require_no_verity(rootfs);
    std::vector<VolumeSpec> layers;
    if (const auto layered = layered_root(rootfs)) {
        plan.root_disk = plan_layers(*layered, layers);
    } else {
        plan.root_disk = plan_root_disk(rootfs, device_at);
    }
    plan.rootfs_mounts = plan.root_disk ? std::vector{empty_rootfs()} : std::move(rootfs);
    plan_devices(spec.linux_part, vfio_name_at, plan);
    for (std::size_t i = 0; i < spec.mounts.size(); ++i) {
        oci::Mount mount = spec.mounts[i];
        const std::string path = "mounts[" + std::to_string(i) + "]";
        if (!is_bind(mount)) {
            plan.mounts.push_back(make_in_guest(std::move(mount), path));
            continue;
        }
        if (mount.source.empty()) {
            refuse(path + ".source", "must not be empty");
        }
        const auto device = device_at(mount.source);
        if (device && S_ISCHR(device->mode)) {
            plan.mounts.push_back(bind_device(std::move(mount), device->number, path));
            continue;
        }
        if (device && bind_block_device(mount, *device, spec.linux_part.resources.devices, plan)) {
            continue;
        }
        const std::vector<HostSocket> sockets = sockets_at(mount.source);
        if (sockets.size() == 1 && sockets.front().name.empty()) {
            add_socket(plan, std::move(mount), sockets.front());
            continue;
        }
        if (plan.volumes.size() == max_volumes) {
            refuse(path, "more than " + std::to_string(max_volumes) + " bind mounts");
        }
        if (has(mount, "shared") || has(mount, "rshared")) {
            // What the host mounts shows in the guest; the other way there is none.
            plan.unsupported.push_back(path + ".options[shared]");
        }
        plan.volumes.push_back(to_volume(mount, bundle, id_map_of(mount, spec.linux_part, path)));
        take_id_map_out(mount);
        plan.volume_mounts.push_back(plan.mounts.size());
        mount.source.clear();
        plan.mounts.push_back(mount);
        for (const HostSocket& socket : sockets) {
            add_socket(plan, in_directory(mount, socket), socket);
        }
    }
    std::ranges::move(layers, std::back_inserter(plan.volumes));
    return plan;
}

void drop_vfio_rules(std::vector<oci::DeviceRule>& rules, const StoragePlan& plan) {
    std::erase_if(rules, [&plan](const oci::DeviceRule& rule) {
        return rule.type == "c" && !oci::is_any(rule.major) && !oci::is_any(rule.minor) &&
               std::ranges::any_of(plan.vfio_groups, [&rule](const VfioGroup& group) {
                   return oci::matches(rule.major, major(group.node)) &&
                          oci::matches(rule.minor, minor(group.node));
               });
    });
}

void set_sources(oci::Spec& spec, StoragePlan& plan, const SharedNames& names) {
    spec.root.path = std::string(wire::guest_roots_path) + "/" + names.rootfs;
    spec.mounts = plan.mounts;
    for (std::size_t i = 0; i < plan.volume_mounts.size(); ++i) {
        spec.mounts.at(plan.volume_mounts[i]).source =
            std::string(wire::guest_volumes_path) + "/" + names.volumes.at(i);
    }
    for (std::size_t i = plan.volume_mounts.size(); i < plan.volumes.size(); ++i) {
        plan.root_disk->layers.push_back(
            std::string(wire::guest_volumes_path) + "/" + names.volumes.at(i)
        );
    }
    for (const std::string& path : names.submounts) {
        plan.submounts.push_back(std::string(wire::guest_volumes_path) + "/" + path);
    }
}

void set_socket_source(StoragePlan& plan, std::size_t index, std::uint64_t number) {
    plan.mounts.at(plan.socket_mounts.at(index)).source =
        std::string(wire::guest_sockets_path) + "/" + std::to_string(number);
}

} // namespace cppvm::storage
