#pragma once

#include "host/sandbox/process.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace cppvm::sandbox {

/// A phase of the boot and when it ended: on the host since the boot began; in the guest, where its
/// name begins with "guest-", since its kernel did.
struct BootPhase {
    std::string name;
    std::chrono::microseconds ended{0};
};

/// What a sandbox is like at one moment, for people. Plain data.
struct SandboxReport {
    enum class State { booting, running, ended, failed };

    State state = State::booting;
    std::string reason; ///< of `ended` and `failed`
    std::vector<BootPhase> boot;
    std::optional<pid_t> machine;                  ///< QEMU's pid
    std::string console_tail;                      ///< the guest's words, as one line
    std::vector<std::vector<ProcessStatus>> tasks; ///< of each the init first, then the execs
};

} // namespace cppvm::sandbox
