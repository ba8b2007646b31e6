#pragma once

#include "common/oci/spec.hpp"

#include <span>
#include <string_view>
#include <sys/types.h>

namespace cppvm::oci {

/// What the rules of linux.resources.devices let a container do with one device. Plain data.
struct DeviceAccess {
    bool read = false;
    bool write = false;
    /// A rule that allows either has its very number: somebody wants this one, not whatever there
    /// is.
    bool by_number = false;
};

/// As the kernel's device cgroup takes them: nothing is allowed at first, and each rule changes
/// what those before it have said. `type`: "b" or "c". Pure.
DeviceAccess device_access(std::span<const DeviceRule> rules, std::string_view type, dev_t number);

} // namespace cppvm::oci
