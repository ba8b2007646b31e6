#pragma once

#include "common/oci/spec.hpp"

#include <span>
#include <sys/types.h>

namespace cppvm::guest {

/// A block device as the host and as the guest number it.
struct DiskNumbers {
    dev_t host = 0;
    dev_t guest = 0;
};

/// Puts the guest's numbers in the place of the host's: in linux.devices, and in the rules of
/// linux.resources.devices. A rule for block devices of certain numbers becomes one for each of
/// `disks` that it covers, so none where it covers none: what has those numbers here is something
/// else. Throws: Error (invalid_argument) for a block device that is not among `disks`. Pure.
void use_guest_numbers(oci::Linux& spec, std::span<const DiskNumbers> disks);

} // namespace cppvm::guest
