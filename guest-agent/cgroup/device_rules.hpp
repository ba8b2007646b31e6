#pragma once

#include "common/base/unique_fd.hpp"
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

/// Such a program in the kernel: its descriptor. It stays for as long as it is attached.
using DeviceProgram = UniqueFd;

/// Empty for no rules at all. Throws: Error; invalid_argument as above.
DeviceProgram load_device_rules(const std::vector<oci::DeviceRule>& rules);

/// For all processes in the cgroup and in those below: at no time are there no rules, or those of
/// both. `attached`: what this has attached there before, or nothing; then what it has now. With an
/// empty program nothing changes.
/// Throws: Error; then nothing has changed.
void replace_device_rules(int cgroup, DeviceProgram& attached, DeviceProgram program);

} // namespace cppvm::guest
