#pragma once

#include "host/cgroup/placement.hpp"

#include <string>
#include <vector>

namespace cppvm::vm::libvirt {

/// Moves the QEMU of a domain, with the kernel's threads that work for it, into these cgroups. The
/// domain is paused: libvirt puts QEMU's threads where it wants them in the course of a start, and
/// must be done with that; and of the guest's memory nothing must be in use yet, because it stays
/// with the cgroup that it was charged to. Throws: Error.
void move_qemu(const std::string& domain, const std::vector<cgroup::Place>& cgroups);

/// Lets every user pass through the directory in which libvirt keeps what its QEMUs read, as most
/// distributions do, but not Debian (0750): a QEMU of a user of its own could not start. What is in
/// there keeps its owners and modes. True: it had to be done. Throws: Error.
bool open_library_directory();

} // namespace cppvm::vm::libvirt
