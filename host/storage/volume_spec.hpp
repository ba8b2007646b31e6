#pragma once

#include <filesystem>

namespace cppvm::storage {

/// A host file or directory that a container sees: a bind mount of its OCI spec. Plain data.
struct VolumeSpec {
    std::filesystem::path source; ///< absolute
    bool recursive = false;       ///< with what is mounted below it (rbind)
    /// Enforced on the host: the guest is not trusted to keep to it.
    bool read_only = false;

    friend bool operator==(const VolumeSpec&, const VolumeSpec&) = default;
};

} // namespace cppvm::storage
