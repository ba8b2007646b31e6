#pragma once

#include "common/oci/spec.hpp"

#include <linux/bpf.h>
#include <vector>

namespace cppvm::guest {

/// linux.resources.devices as a program of BPF_PROG_TYPE_CGROUP_DEVICE (cgroup-v2.rst, "Device
/// controller"). Nothing is allowed at first; then the rules count in their order, and at the end,
/// as with runc, those for what every container has: mknod of anything, /dev/null and the like,
/// terminals.
/// Throws: Error (invalid_argument) that names the field.
std::vector<bpf_insn> compile_device_rules(const std::vector<oci::DeviceRule>& rules);

/// For all processes in the cgroup, and in those below. Throws: Error.
void attach_device_rules(int cgroup, const std::vector<bpf_insn>& program);

} // namespace cppvm::guest
