#include "host/pod/guest_spec.hpp"

#include "common/base/error.hpp"
#include "common/oci/spec_json.hpp"
#include "common/os/file.hpp"
#include "host/storage/host_device.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace cppvm::pod {

namespace {

using Paths = std::vector<std::string>;

/// Whether the guest gets a namespace like it. Where not, it has its pod's, which is the machine's.
bool keep_namespace(oci::Namespace& entry, const std::string& path, GuestSpec& result) {
    if (entry.type == "network") {
        result.network_path = entry.path;
        return false;
    }
    if (entry.path.empty()) {
        return true;
    }
    if (entry.type == "mount" || entry.type == "user") {
        throw Error(
            Code::unimplemented, path + ": a shared " + entry.type + " namespace is not supported"
        );
    }
    if (entry.type == "pid") {
        // The machine's own holds the agent; the container gets one of its own instead.
        entry.path.clear();
        result.unsupported.push_back(path);
        return true;
    }
    return false;
}

void translate_namespaces(std::vector<oci::Namespace>& namespaces, GuestSpec& result) {
    std::vector<oci::Namespace> kept;
    for (std::size_t i = 0; i < namespaces.size(); ++i) {
        const std::string path = "linux.namespaces[" + std::to_string(i) + "].path";
        if (keep_namespace(namespaces[i], path, result)) {
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

/// Of the last bind mount there; empty: none.
std::filesystem::path
source_of(const std::filesystem::path& destination, const storage::StoragePlan& plan) {
    std::filesystem::path source;
    for (std::size_t i = 0; i < plan.volumes.size(); ++i) {
        if (plan.mounts[plan.volume_mounts[i]].destination == destination) {
            source = plan.volumes[i].source;
        }
    }
    return source;
}

} // namespace

GuestSpec make_guest_spec(std::string_view config, const std::filesystem::path& bundle) {
    oci::Parsed<oci::Spec> parsed = oci::parse_spec(config);
    GuestSpec result;
    result.unsupported = std::move(parsed.unsupported);
    oci::Spec& spec = parsed.value;
    result.storage = storage::plan_storage(spec, bundle, storage::character_device_at);
    result.unsupported.insert(
        result.unsupported.end(),
        result.storage.unsupported.begin(),
        result.storage.unsupported.end()
    );
    result.resolv_conf = source_of("/etc/resolv.conf", result.storage);
    spec.root.path.clear();
    spec.mounts.clear();
    // For runtimes on the host; they tell host paths.
    result.hooks = std::exchange(spec.hooks, {});
    result.annotations = std::exchange(spec.annotations, {});
    // Where the sandbox's cgroup is on the host (host/cgroup); the guest has its own tree.
    spec.linux_part.cgroups_path.clear();
    translate_namespaces(spec.linux_part.namespaces, result);
    translate_resources(spec.linux_part.resources, result.unsupported);
    result.spec = std::move(spec);
    return result;
}

GuestResources make_guest_resources(std::string_view json) {
    oci::Parsed<oci::Resources> parsed = oci::parse_resources(json);
    GuestResources result{std::move(parsed.value), std::move(parsed.unsupported)};
    translate_resources(result.resources, result.unsupported);
    return result;
}

GuestSpec load_guest_spec(const std::filesystem::path& bundle) {
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
        return make_guest_spec(config, bundle);
    } catch (...) {
        rethrow_with_context("read " + path.native());
    }
}

} // namespace cppvm::pod
