#pragma once

#include <filesystem>
#include <string>
#include <sys/types.h>

namespace cppvm::storage {

/// A unix socket of the host's that a container may connect to. Plain data.
struct HostSocket {
    std::filesystem::path path; ///< on the host
    std::string name;           ///< in the directory that is mounted; empty: it is mounted itself
    uid_t uid = 0;
    gid_t gid = 0;
    mode_t mode = 0; ///< permissions

    friend bool operator==(const HostSocket&, const HostSocket&) = default;
};

} // namespace cppvm::storage
