#pragma once

#include "host/config/config.hpp"

#include <filesystem>
#include <string_view>
#include <vector>

namespace cppvm::config {

/// Where a program of ours or one that we need is: `configured` if it is not empty, else the first
/// of: beside this program, libexec/cppvm of the installation that this program is in, the one that
/// was configured when it was built, `directories`, PATH.
/// Throws: Error (failed_precondition) that names the program, where it was looked for and, for
/// `configured`, that the configuration named it.
std::filesystem::path find_program(
    std::string_view name,
    const std::filesystem::path& configured,
    const std::vector<std::filesystem::path>& directories = {}
);

/// Where the programs are. Throws: Error that names the places and the remedy.
std::filesystem::path find_virtiofsd(const Config& config);
std::filesystem::path find_libvirt_helper(const Config& config);
std::filesystem::path find_vhost_device_vsock(const Config& config);
std::filesystem::path find_passt(const Config& config);

} // namespace cppvm::config
