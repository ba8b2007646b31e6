#pragma once

#include "common/oci/spec.hpp"

#include <string>
#include <vector>

namespace cppvm::guest {

/// One value for one file of a cgroup (v2).
struct CgroupWrite {
    std::string controller; ///< that must be enabled; empty for the core's own files
    std::string file;
    std::string value;
    /// JSON path of a limit that may be left out where the kernel has no such file; empty: it must
    /// be there.
    std::string field{};

    friend bool operator==(const CgroupWrite&, const CgroupWrite&) = default;
};

/// linux.resources as cgroup v2 files, in the order to write them. Values that the spec has for
/// version 1 are converted as other runtimes do it. Without devices (device_rules.hpp).
/// Throws: Error (invalid_argument) naming the JSON path.
std::vector<CgroupWrite> cgroup_writes(const oci::Resources& resources);

} // namespace cppvm::guest
