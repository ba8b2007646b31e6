#include "host/pod/guest_spec.hpp"

#include "common/base/error.hpp"
#include "common/base/number.hpp"
#include "common/oci/names.hpp"
#include "common/oci/refuse.hpp"
#include "common/oci/spec_json.hpp"
#include "common/os/file.hpp"
#include "common/wire/ports.hpp"
#include "host/seccomp/compile.hpp"
#include "host/storage/host_device.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace cppvm::pod {

namespace {

using Paths = std::vector<std::string>;

/// "/proc/PID/ns/…" gives PID; 0 for any other path. The stand-ins of a pod's containers share most
/// namespaces with us, so that it is not the namespace which tells whose it is meant to be.
pid_t process_of(const std::string& path) noexcept {
    constexpr std::string_view proc = "/proc/";
    if (!path.starts_with(proc)) {
        return 0;
    }
    std::string_view rest = std::string_view(path).substr(proc.size());
    const pid_t pid = take_number<pid_t>(rest).value_or(0);
    return rest.starts_with("/ns/") ? pid : 0;
}

void require_namespace(const oci::Namespace& entry, const std::string& path, const HostView& host) {
    const auto* const word = oci::find_namespace_word(entry.type);
    if (word == nullptr || !host.namespace_type) {
        return; // the agent refuses what nobody knows
    }
    int type = 0;
    try {
        type = host.namespace_type(entry.path);
    } catch (...) {
        rethrow_with_context(path);
    }
    if (static_cast<unsigned long>(type) != word->flag) {
        oci::refuse(path, "'" + entry.path + "' is not a namespace of type '" + entry.type + "'");
    }
}

/// What CRI would mount from the host into each container that shares the pod's IPC namespace: the
/// file system of its POSIX shared memory, in the place of the one that every spec has.
void share_memory(std::vector<oci::Mount>& mounts) {
    constexpr const char* place = "/dev/shm";
    const auto found = std::ranges::find(mounts, place, &oci::Mount::destination);
    if (found != mounts.end() && found->type != "tmpfs") {
        return; // the user's own
    }
    oci::Mount shared;
    shared.destination = place;
    shared.type = "bind";
    shared.source = wire::guest_shm_path;
    shared.options = {"bind", "rw", "nosuid", "nodev", "noexec"};
    if (found == mounts.end()) {
        mounts.push_back(std::move(shared));
    } else {
        *found = std::move(shared);
    }
}

/// Whether the guest gets a namespace like it. Where not, it has its pod's, which is the machine's.
bool keep_namespace(
    oci::Namespace& entry, const std::string& path, const HostView& host, GuestSpec& result
) {
    const bool of_the_pod = host.pod_stand_in > 0 && process_of(entry.path) == host.pod_stand_in;
    if (entry.type == "network") {
        result.network_path = entry.path;
        return false;
    }
    if (entry.path.empty()) {
        return true;
    }
    if (entry.type == "mount") {
        throw Error(Code::unimplemented, path + ": a shared mount namespace is not supported");
    }
    require_namespace(entry, path, host);
    if (of_the_pod && entry.type == "pid") {
        entry.path = wire::pod_namespace;
        return true;
    }
    if (of_the_pod && entry.type == "ipc") {
        share_memory(result.storage.mounts);
        return false;
    }
    const bool sharable = entry.type != "time" && entry.type != "user";
    const pid_t pid = sharable && host.find_container ? process_of(entry.path) : 0;
    const std::string container = pid > 0 ? host.find_container(pid) : "";
    if (!container.empty()) {
        entry.path = std::string(wire::container_prefix) + container;
        return true;
    }
    if (entry.type == "pid" || !sharable) {
        // The machine's own holds the agent; the container gets one of its own instead, of users
        // with the same mappings, so that the files of a pod have the same owners.
        entry.path.clear();
        result.unsupported.push_back(path);
        return true;
    }
    if (!of_the_pod) {
        result.unsupported.push_back(path); // it is another machine's, or the host's
    }
    return false;
}

void translate_namespaces(
    std::vector<oci::Namespace>& namespaces, const HostView& host, GuestSpec& result
) {
    std::vector<oci::Namespace> kept;
    for (std::size_t i = 0; i < namespaces.size(); ++i) {
        const std::string path = "linux.namespaces[" + std::to_string(i) + "].path";
        if (keep_namespace(namespaces[i], path, host, result)) {
            kept.push_back(std::move(namespaces[i]));
        }
    }
    namespaces = std::move(kept);
}

void drop(std::string& value, const char* path, Paths& unsupported) {
    if (!std::exchange(value, {}).empty()) {
        unsupported.emplace_back(path);
    }
}

// With runc, too, they affect only id-mapped mounts then.
void drop_unused_mappings(oci::Linux& spec, Paths& unsupported) {
    const bool used =
        std::ranges::any_of(spec.namespaces, [](const auto& item) { return item.type == "user"; });
    if (used) {
        return;
    }
    if (!std::exchange(spec.uid_mappings, {}).empty()) {
        unsupported.emplace_back("linux.uidMappings");
    }
    if (!std::exchange(spec.gid_mappings, {}).empty()) {
        unsupported.emplace_back("linux.gidMappings");
    }
}

// Processors, memory nodes and devices of the host are others in the guest.
void translate_resources(oci::Resources& resources, Paths& unsupported) {
    drop(resources.cpu.cpus, "linux.resources.cpu.cpus", unsupported);
    drop(resources.cpu.mems, "linux.resources.cpu.mems", unsupported);
    constexpr std::array<std::string_view, 4> controllers = {"cpuset.", "io.", "rdma.", "misc."};
    std::erase_if(resources.unified, [&](const auto& entry) {
        const std::string& file = entry.first;
        const bool of_the_host = std::ranges::any_of(controllers, [&](std::string_view controller) {
            return file.starts_with(controller);
        });
        if (of_the_host) {
            unsupported.push_back("linux.resources.unified." + file);
        }
        return of_the_host;
    });
}

/// What a container would not do without: it asks for a part of the host by name.
void refuse_parts_of_the_host(const Paths& unsupported) {
    constexpr std::array<std::pair<std::string_view, const char*>, 2> refused{{
        {"linux.intelRdt", "the host's resource classes do not reach into a VM"},
        {"linux.netDevices",
         "devices of the host do not move into a VM; move them into the pod's network namespace"},
    }};
    for (const auto& [path, reason] : refused) {
        if (std::ranges::find(unsupported, path) != unsupported.end()) {
            throw Error(Code::unimplemented, std::string(path) + ": " + reason);
        }
    }
}

/// Annotations, as hooks, are for runtimes on the host, and tell its paths.
void translate_hooks(oci::Spec& spec, GuestSpec& result) {
    result.hooks = std::exchange(spec.hooks, {});
    spec.hooks.create_container = std::exchange(result.hooks.create_container, {});
    spec.hooks.start_container = std::exchange(result.hooks.start_container, {});
    result.annotations = spec.annotations;
    if (!has_guest_hooks(spec)) {
        spec.annotations.clear();
    }
}

/// Of the last bind mount there; empty: none.
std::filesystem::path
source_of(const std::filesystem::path& destination, const storage::StoragePlan& plan) {
    std::filesystem::path source;
    for (std::size_t i = 0; i < plan.volume_mounts.size(); ++i) {
        if (plan.mounts[plan.volume_mounts[i]].destination == destination) {
            source = plan.volumes[i].source;
        }
    }
    return source;
}

void add_files(std::vector<oci::Mount>& mounts, const std::vector<PodFile>& files) {
    for (const PodFile& file : files) {
        if (std::ranges::find(mounts, file.destination, &oci::Mount::destination) != mounts.end()) {
            continue;
        }
        oci::Mount mount;
        mount.destination = file.destination;
        mount.type = "bind";
        mount.source = file.source;
        mount.options = {"bind", "ro", "nosuid", "nodev", "noexec"};
        mounts.push_back(std::move(mount));
    }
}

} // namespace

GuestSpec make_guest_spec(
    std::string_view config,
    const std::filesystem::path& bundle,
    std::vector<storage::MountSpec> rootfs,
    const HostView& host
) {
    oci::Parsed<oci::Spec> parsed = oci::parse_spec(config);
    GuestSpec result;
    result.unsupported = std::move(parsed.unsupported);
    refuse_parts_of_the_host(result.unsupported);
    oci::Spec& spec = parsed.value;
    add_files(spec.mounts, host.files);
    result.storage = storage::plan_storage(
        spec, std::move(rootfs), bundle, storage::host_device_at, host.sockets_at, host.vfio_name_at
    );
    result.unsupported.insert(
        result.unsupported.end(),
        result.storage.unsupported.begin(),
        result.storage.unsupported.end()
    );
    result.resolv_conf = source_of("/etc/resolv.conf", result.storage);
    spec.root.path.clear();
    spec.mounts.clear();
    spec.linux_part.devices = result.storage.devices;
    storage::drop_vfio_rules(spec.linux_part.resources.devices, result.storage);
    translate_hooks(spec, result);
    // Where the sandbox's cgroup is on the host (host/cgroup); the guest has its own tree.
    spec.linux_part.cgroups_path.clear();
    translate_namespaces(spec.linux_part.namespaces, host, result);
    drop_unused_mappings(spec.linux_part, result.unsupported);
    translate_resources(spec.linux_part.resources, result.unsupported);
    if (const auto profile = std::exchange(spec.linux_part.seccomp, std::nullopt)) {
        result.seccomp = seccomp::compile(*profile);
    }
    result.spec = std::move(spec);
    return result;
}

GuestResources make_guest_resources(std::string_view json) {
    oci::Parsed<oci::Resources> parsed = oci::parse_resources(json);
    GuestResources result{std::move(parsed.value), std::move(parsed.unsupported)};
    translate_resources(result.resources, result.unsupported);
    return result;
}

bool has_guest_hooks(const oci::Spec& spec) noexcept {
    return !spec.hooks.create_container.empty() || !spec.hooks.start_container.empty();
}

GuestSpec load_guest_spec(
    const std::filesystem::path& bundle,
    std::vector<storage::MountSpec> rootfs,
    const HostView& host
) {
    const auto path = bundle / "config.json";
    std::string config;
    try {
        config = read_file(path, oci::max_spec_bytes);
    } catch (const Error& error) {
        if (error.cause().value() == ENOENT) {
            throw Error(Code::failed_precondition, error.message(), error.cause());
        }
        throw;
    }
    try {
        return make_guest_spec(config, bundle, std::move(rootfs), host);
    } catch (...) {
        rethrow_with_context("read " + path.native());
    }
}

} // namespace cppvm::pod
