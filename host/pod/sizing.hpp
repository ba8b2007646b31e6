#pragma once

#include "host/config/config.hpp"
#include "host/pod/pod_spec.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace cppvm::pod {

/// What the host has to give. Plain data.
struct HostSize {
    unsigned processors = 1;
    std::uint64_t memory_mib = 0;
    std::optional<std::uint64_t> pod_mib; ///< what the pod's cgroup may use, if it is limited
};

/// As the kernel reports it: processors that are online, all of the memory. `pod_bytes`: what the
/// pod's cgroup may use.
HostSize host_size(std::optional<std::uint64_t> pod_bytes = {});

/// How large a pod's machine is. Plain data.
struct MachineSize {
    unsigned vcpus = 1;
    unsigned memory_mib = 0;
    std::string cut; ///< what the host cannot give, for a warning: "memory limit of …"; or empty
};

/// Large enough for the pod's limits: as many processors as its quota is worth, its memory limit
/// and what the guest itself needs (`vm.overhead_mib`, and a 64th of the limit for the kernel's
/// record of its pages). What has no limit gets the size that is configured. A limit beyond what
/// the host has gets all that it has: under runc it has no effect either.
///
/// Throws: Error (invalid_argument) for a machine that could not boot, or that the kernel would
/// kill before its containers run, since the pod's cgroup may use too little.
MachineSize size_machine(const Limits& limits, const config::Config& config, const HostSize& host);

} // namespace cppvm::pod
