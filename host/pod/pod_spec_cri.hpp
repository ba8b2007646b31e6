#pragma once

#include "host/pod/pod_files.hpp"
#include "host/pod/pod_spec.hpp"
#include "proto/containerd/sandbox.pb.h"

#include <string>
#include <vector>

namespace cppvm::pod {

/// What CreateSandbox asks for. Plain data.
struct CriPod {
    PodSpec spec; ///< without its files
    PodFiles files;
    /// Fields of the request that have no effect, as "linux.resources".
    std::vector<std::string> unsupported;
};

/// Reads a CreateSandbox request, whose options are CRI's PodSandboxConfig or, as from `ctr
/// sandboxes`, nothing of CRI's. The host's own name and name servers are what a pod gets that
/// names none. Throws: Error (invalid_argument) that names the field.
CriPod read_create_sandbox(
    const containerd::runtime::sandbox::v1::CreateSandboxRequest& request, const HostNames& host
);

} // namespace cppvm::pod
