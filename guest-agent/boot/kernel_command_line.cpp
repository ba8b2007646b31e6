#include "guest-agent/boot/kernel_command_line.hpp"

#include "common/base/number.hpp"
#include "common/wire/ports.hpp"

#include <algorithm>

namespace cppvm::guest {

namespace {

void read_word(std::string_view word, BootOptions& options) noexcept {
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos) {
        return;
    }
    const std::string_view key = word.substr(0, equals);
    const std::string_view value = word.substr(equals + 1);
    if (key == wire::boot_port_key) {
        if (const auto port = to_number<std::uint32_t>(value)) {
            options.boot_port = port;
        }
    } else if (key == wire::power_off_key) {
        options.power_off = value == "1";
    } else if (key == wire::log_level_key) {
        options.log_level = parse_log_level(value).value_or(options.log_level);
    }
}

} // namespace

BootOptions parse_kernel_command_line(std::string_view text) noexcept {
    BootOptions options;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find_first_of(" \n", at), text.size());
        read_word(text.substr(at, end - at), options);
        at = end + 1;
    }
    return options;
}

} // namespace cppvm::guest
