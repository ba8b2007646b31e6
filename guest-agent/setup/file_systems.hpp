#pragma once

#include "common/base/unique_fd.hpp"
#include "common/oci/spec.hpp"
#include "guest-agent/setup/mount_options.hpp"

#include <cstdint>
#include <string>

namespace cppvm::guest {

/// A detached mount of a file system that the guest's kernel makes by itself, for this process's
/// namespaces. Throws: Error naming the destination.
UniqueFd make_file_system(const oci::Mount& mount, const MountOptions& options);

/// Whether a container with `namespaces` (CLONE_NEW*) cannot make a file system of that type
/// itself, because it is in a user namespace and the file system shows what is the machine's: a
/// namespace that the container has no own of (its network's in /sys), or a disk.
bool is_of_the_machine(const std::string& type, std::uint64_t namespaces);

} // namespace cppvm::guest
