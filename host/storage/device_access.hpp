#pragma once

#include "common/oci/spec.hpp"

#include <span>
#include <sys/types.h>

namespace cppvm::storage {

/// What the rules of linux.resources.devices let a container do with one block device. Plain data.
struct DeviceAccess {
    bool read = false;
    bool write = false;
    /// A rule that allows either has its very number: somebody wants this one, not whatever there
    /// is.
    bool by_number = false;
};

/// As the kernel's device cgroup takes them: nothing is allowed at first, and each rule changes
/// what those before it have said. Pure.
DeviceAccess block_device_access(std::span<const oci::DeviceRule> rules, dev_t number);

} // namespace cppvm::storage
