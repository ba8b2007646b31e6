#pragma once

#include "common/log/logger.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace cppvm::guest {

/// What the host tells the agent by the kernel's command line (keys: common/wire/ports.hpp). Values
/// that make no sense count as absent.
struct BootOptions {
    std::optional<std::uint32_t> boot_port;
    bool power_off = false;
    LogLevel log_level = LogLevel::info;
};

BootOptions parse_kernel_command_line(std::string_view text) noexcept;

} // namespace cppvm::guest
