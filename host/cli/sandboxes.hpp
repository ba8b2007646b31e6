#pragma once

#include "common/async/asio.hpp"
#include "host/config/config.hpp"
#include "host/rundir/description.hpp"
#include "proto/cppvm/control.pb.h"

#include <filesystem>
#include <string>
#include <vector>

namespace cppvm::cli {

/// A run directory whose sandbox has described itself, and what its daemon says now.
struct FoundSandbox {
    std::filesystem::path run_dir;
    SandboxDescription description;
    control::v1::ExplainResponse now;
    std::string silence; ///< why `now` is empty; empty if it is not
};

/// All sandboxes below `config.run_dir`, by namespace and id; those whose daemon does not answer
/// within 5 s, too. Throws: Error if the directory cannot be read; a missing one is empty.
Awaitable<std::vector<FoundSandbox>> find_sandboxes(config::Config config);

/// "booting", "running", "ended", "failed", or "no answer".
std::string state_of(const FoundSandbox& sandbox);

/// As RFC 3339 in UTC, to the second.
std::string format_time(std::chrono::system_clock::time_point time);

} // namespace cppvm::cli
