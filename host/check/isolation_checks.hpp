#pragma once

#include "host/check/check.hpp"
#include "host/config/config.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace cppvm::check {

/// What keeps a guest that has taken over its QEMU, or another helper, from the host: one check for
/// each layer (docs/security.md). A layer that is not there is a warning; machines start without.
///
/// `security_models`: those of libvirt ("dac", "apparmor", "selinux", …); nothing where it does not
/// answer, and then nothing is said of them. `root`: as in HostChecks. Does not throw.
std::vector<Check> check_isolation(
    const config::Config& config,
    const std::vector<std::string>& security_models,
    const std::filesystem::path& root = "/"
);

} // namespace cppvm::check
