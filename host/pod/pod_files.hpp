#pragma once

#include "host/pod/pod_spec.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace cppvm::pod {

/// The contents of what containers see as /etc/hosts, /etc/hostname and /etc/resolv.conf.
struct PodFiles {
    std::string hosts;
    std::string hostname;
    std::string resolv_conf;

    friend bool operator==(const PodFiles&, const PodFiles&) = default;
};

/// Where they come from for a pod that says nothing itself. Plain data.
struct HostNames {
    std::string hostname;
    std::string resolv_conf; ///< the text of the file
};

/// The host's: gethostname(2) and /etc/resolv.conf, which may be missing. Throws: Error.
HostNames read_host_names();

/// resolv.conf(5) with these lines. Throws: Error (invalid_argument) naming the field in which
/// there is more than a word.
std::string make_resolv_conf(
    const std::vector<std::string>& servers,
    const std::vector<std::string>& searches,
    const std::vector<std::string>& options
);

/// Writes them below `directory`, which is made. Throws: Error.
std::vector<PodFile> write_pod_files(const PodFiles& files, const std::filesystem::path& directory);

} // namespace cppvm::pod
