#pragma once

#include "host/network/namespace_spec.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace cppvm::pod {

/// What a pod may use, in the kernel's units; 0, or less: no limit is said.
struct Limits {
    std::int64_t memory_bytes = 0;
    std::int64_t cpu_quota_us = 0; ///< for each period
    std::uint64_t cpu_period_us = 0;

    friend bool operator==(const Limits&, const Limits&) = default;
};

/// A file of the host's that containers see at `destination`, unless they mount something there.
struct PodFile {
    std::filesystem::path source;
    std::string destination;

    friend bool operator==(const PodFile&, const PodFile&) = default;
};

/// What a pod requires of its sandbox; a stand-alone container counts as a pod of one. It is known
/// before any resource is allocated and does not change when containers are added. Plain data.
struct PodSpec {
    std::string sandbox_id;
    /// The container is one that CRI put into a pod: its sandbox must exist already.
    bool is_member = false;
    /// The rest comes with CreateSandbox (host/pod/pod_spec_cri.hpp): nothing is to boot before.
    bool awaits_create = false;
    std::string cgroups_path; ///< linux.cgroupsPath of the container that starts it; empty: none
    network::NamespaceSpec network;
    /// A stand-alone container's are its own (linux.resources); those of a pod are what the kubelet
    /// has told CRI (annotations io.kubernetes.cri.sandbox-memory, -cpu-quota, -cpu-period).
    Limits limits;
    std::string hostname; ///< empty: none is asked for
    std::map<std::string, std::string> sysctls;
    std::map<std::string, std::string> annotations;
    /// With the Sandbox API; else containerd's specs mount them.
    std::vector<PodFile> files;

    friend bool operator==(const PodSpec&, const PodSpec&) = default;
};

/// A pod that wants the process namespace (hostPID) or the IPC namespace (hostIPC) of its host: the
/// kernel of a VM has no part in them. Throws: Error, unimplemented, that says so.
void refuse_namespaces_of_host(bool pid, bool ipc);

/// By `<bundle>/config.json`. The sandbox is named by the annotations io.containerd.runc.v2.group,
/// else io.kubernetes.cri.sandbox-id, else it is the container's own id (so does containerd's shim
/// for runc). A bundle of the Sandbox API has no container: no config.json (from CRI), or one
/// without a process (from `ctr sandboxes`). Then only the own id is known. Throws: Error naming
/// the file if it is too large, not JSON, or the id breaks containerd's rule; and as
/// refuse_namespaces_of_host for a pause container without namespaces of its own.
PodSpec read_pod_spec(const std::filesystem::path& bundle, const std::string& id);

/// The same from the text; `name` is the file's, for errors.
PodSpec parse_pod_spec(std::string_view config, const std::string& name, const std::string& id);

} // namespace cppvm::pod
