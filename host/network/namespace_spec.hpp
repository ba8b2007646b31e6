#pragma once

#include <filesystem>

namespace cppvm::network {

/// Which network namespace a container has on the host. Plain data.
struct NamespaceSpec {
    enum class Kind {
        host,  ///< the daemon's own
        fresh, ///< a new one, which hooks or `ctr --cni` configure between Create and Start
        path,  ///< an existing one, such as /var/run/netns/cni-1234 of a pod
    };

    Kind kind = Kind::host;
    std::filesystem::path path;

    friend bool operator==(const NamespaceSpec&, const NamespaceSpec&) = default;
};

} // namespace cppvm::network
