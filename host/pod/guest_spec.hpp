#pragma once

#include "common/oci/spec.hpp"
#include "common/os/seccomp_program.hpp"
#include "host/pod/pod_spec.hpp"
#include "host/storage/storage_plan.hpp"

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace cppvm::pod {

/// An OCI spec made fit for the guest, and what the host has to do for it. Plain data.
struct GuestSpec {
    /// For the agent; names no path of the host. Its root and mounts are the storage plan's to set,
    /// once it is known where they are on the share.
    oci::Spec spec;
    /// What its linux.seccomp meant, which it is without.
    SeccompProgram seccomp;
    storage::StoragePlan storage;
    /// Where the network namespace is that it asks for, if it names one. It gets its pod's.
    std::filesystem::path network_path;
    /// The host's file that it sees as /etc/resolv.conf, if that is a bind mount of its own.
    std::filesystem::path resolv_conf;
    /// What is the host's alone to run, and the annotations that all hooks are told.
    oci::Hooks hooks;
    std::map<std::string, std::string> annotations;
    /// JSON paths that the host takes no account of.
    std::vector<std::string> unsupported;
};

/// Which container of the sandbox a process of the host stands for; "": none. Empty: of no process
/// it does.
using FindContainer = std::function<std::string(pid_t)>;

/// What the translation asks about the host.
struct HostView {
    FindContainer find_container{};
    /// The process that stands for the pod itself, with the Sandbox API: its namespaces are the
    /// pod's. 0: there is none.
    pid_t pod_stand_in = 0;
    /// namespace_type_at (common/os). Empty: paths of namespaces are not looked at.
    std::function<int(const std::filesystem::path&)> namespace_type{};
    /// The sockets of the host's that the container may connect to.
    storage::SocketsAt sockets_at = storage::no_sockets;
    /// What VFIO calls a character device of the host.
    storage::VfioNameAt vfio_name_at = storage::no_vfio;
    /// Read-only bind mounts in the places where the spec has none.
    std::vector<PodFile> files{};
};

/// Reads and translates `<bundle>/config.json`. `rootfs`: Create's.
/// Throws: Error (failed_precondition if it is not there, invalid_argument for what is in it,
/// resource_exhausted if it is too large) that names the file.
GuestSpec load_guest_spec(
    const std::filesystem::path& bundle,
    std::vector<storage::MountSpec> rootfs = {},
    const HostView& host = {}
);

/// The translation alone. Throws: Error (invalid_argument, failed_precondition, unimplemented) with
/// the JSON path.
GuestSpec make_guest_spec(
    std::string_view config,
    const std::filesystem::path& bundle,
    std::vector<storage::MountSpec> rootfs = {},
    const HostView& host = {}
);

/// Whether hooks are to run in the guest. Only those are told the bundle's path and annotations.
bool has_guest_hooks(const oci::Spec& spec) noexcept;

/// Limits made fit for the guest.
struct GuestResources {
    oci::Resources resources;
    std::vector<std::string> unsupported; ///< JSON paths
};

/// linux.resources (JSON) of an update. Throws: Error (invalid_argument) with the JSON path.
GuestResources make_guest_resources(std::string_view json);

} // namespace cppvm::pod
