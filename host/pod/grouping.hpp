#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace cppvm::shim {

/// Which sandbox a container belongs to.
struct Grouping {
    std::string id; ///< of the sandbox; a stand-alone container is its own
    /// A container that CRI put into a pod: its sandbox must be there already.
    bool pod_member = false;
    std::string cgroups_path; ///< linux.cgroupsPath of the container; empty: none

    friend bool operator==(const Grouping&, const Grouping&) = default;
};

/// From the annotations in `<bundle>/config.json`: io.containerd.runc.v2.group, else
/// io.kubernetes.cri.sandbox-id, else the container's own id (so does containerd's shim for runc).
/// Without a config.json (bundles of the Sandbox API have none) it is the own id.
/// Throws: Error naming the file if it is too large, not JSON, or the id breaks containerd's rule.
Grouping read_grouping(const std::filesystem::path& bundle, const std::string& id);

/// The same from the text; `name` is the file's, for errors.
Grouping parse_grouping(std::string_view config, const std::string& name, const std::string& id);

} // namespace cppvm::shim
