#include "host/storage/share_work.hpp"

#include "common/base/error.hpp"
#include "common/os/file.hpp"
#include "host/storage/root_watch.hpp"
#include "host/storage/share_namespace.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sched.h>
#include <set>
#include <sys/mount.h>

namespace cppvm::storage {

namespace {

/// The root file system as a mount that nobody sees. `scratch` is an empty directory.
DetachedMount open_rootfs(const ContainerStorage& storage, const std::filesystem::path& scratch) {
    if (storage.rootfs_mounts.empty()) {
        DetachedMount mount(storage.rootfs, true);
        mount.set_attributes(0, 0, MS_PRIVATE, true);
        return mount;
    }
    // mount(2) needs a place to mount at, and fsconfig(2) has no room for long options: so in a
    // copy of the host's namespace that ends with this process.
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_SLAVE | MS_REC, nullptr) != 0) {
        throw_errno("make a mount namespace for", "the root file system");
    }
    mount_all(storage.rootfs_mounts, scratch);
    DetachedMount mount(scratch, true);
    mount.set_attributes(0, 0, MS_PRIVATE, true);
    return mount;
}

void attach_volumes(
    int name_space, std::vector<VolumeSource>& sources, std::span<const VolumePlan> plans
) {
    ShareNamespace share(name_space);
    for (std::size_t i = 0; i < plans.size(); ++i) {
        const VolumePlan& plan = plans[i];
        if (plan.change_read_only) {
            share.set_read_only(plan.number, plan.is_file, plan.read_only);
        }
        if (!plan.attach) {
            continue;
        }
        DetachedMount& mount = sources[i].mount;
        if (plan.read_only) {
            mount.set_attributes(MOUNT_ATTR_RDONLY, 0, 0, false);
        }
        plan.is_file ? share.attach_file(plan.number, mount)
                     : share.attach_directory(plan.number, mount);
    }
}

/// In the namespace of the volumes.
void send_submounts(
    ParentLink& parent,
    const std::vector<VolumeSpec>& volumes,
    std::span<const VolumePlan> plans,
    int proc
) {
    std::set<std::uint64_t> seen;
    for (std::size_t i = 0; i < plans.size(); ++i) {
        const VolumePlan& plan = plans[i];
        if (plan.is_file || !volumes[i].differs_below || !seen.insert(plan.number).second) {
            continue;
        }
        for (const std::string& path : ShareNamespace::submounts(plan.number, proc)) {
            const std::string below = path.substr(shared_name(plan.number, false).size());
            parent.begin("look at " + volumes[i].source.native() + below);
            if (ShareNamespace::reach_submount(path)) {
                parent.send(path);
            }
        }
    }
}

} // namespace

void add_in_child(
    ParentLink& parent,
    const ContainerStorage& storage,
    const std::filesystem::path& scratch,
    ShareNamespaces namespaces
) {
    const UniqueFd proc = open_file("/proc", O_PATH | O_DIRECTORY); // there is none in a share
    std::vector<VolumeSource> sources;
    std::vector<SourceInfo> infos;
    for (const VolumeSpec& volume : storage.volumes) {
        parent.begin("bind " + volume.source.native());
        sources.push_back(open_volume_source(volume));
        infos.push_back(sources.back().info);
    }
    parent.begin("mount the root file system");
    DetachedMount rootfs = open_rootfs(storage, scratch);
    const std::filesystem::path watched =
        storage.root_watch < 0 ? "" : begin_watch(storage.root_watch, storage.rootfs, rootfs.fd());
    parent.begin("attach");
    parent.send(to_message<SourceInfo>(infos));
    parent.send(watched.native());
    const auto number = from_message<std::uint64_t>(parent.receive()).at(0);
    const auto plans = from_message<VolumePlan>(parent.receive());
    if (!plans.empty()) {
        attach_volumes(namespaces.volumes, sources, plans);
    }
    ShareNamespace(namespaces.roots).attach_directory(number, rootfs);
    parent.send("attached");
    if (std::ranges::any_of(storage.volumes, &VolumeSpec::differs_below)) {
        const ShareNamespace share(namespaces.volumes);
        send_submounts(parent, storage.volumes, plans, proc.get());
    }
    parent.send("");
}

void remove_in_child(const Removal& removal, ShareNamespaces namespaces) {
    ShareNamespace(namespaces.roots).detach(removal.rootfs);
    ShareNamespace volumes(namespaces.volumes);
    for (const VolumePlan& volume : removal.detach) {
        volumes.detach(volume.number);
    }
    for (const VolumePlan& volume : removal.make_read_only) {
        try {
            volumes.set_read_only(volume.number, volume.is_file, true);
        } catch (const Error& error) {
            // A file is still open for writing; the guest's own mounts are read-only all the same.
            if (error.cause().value() != EBUSY) {
                throw;
            }
        }
    }
}

} // namespace cppvm::storage
