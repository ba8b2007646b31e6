#pragma once

#include "common/oci/spec.hpp"

#include <chrono>
#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

namespace cppvm::oci {

/// The state of a container as its hooks read it on stdin (runtime.md of the OCI runtime spec,
/// "State").
struct ContainerState {
    std::string oci_version;
    std::string id;
    std::string status; ///< "creating", "created", "running", "stopped"
    pid_t pid = 0; ///< of its init, as the hook's namespace knows it; 0: there is none any more
    std::string bundle; ///< a path of the host's, also where a hook runs in the guest
    std::map<std::string, std::string> annotations;
};

std::string to_json(const ContainerState& state);

/// How long a hook may run: its own timeout, or two minutes; a day at most.
std::chrono::seconds time_limit(const Hook& hook) noexcept;
/// The same for all of them, one after the other.
std::chrono::seconds time_limit(const std::vector<Hook>& hooks) noexcept;

} // namespace cppvm::oci
